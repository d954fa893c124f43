//! Places: which country and city an address belongs to, by a MaxMind DB file (MaxMind DB File Format Specification 2.0) of the
//! kind City or Country, whoever made it.

use super::plain;
use maxminddb::{MaxMindDbError, Reader};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// Why there are no places.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlacesError {
    /// The file cannot be read, or is no such database.
    #[error("cannot use {path} as a database of places: {cause}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: MaxMindDbError,
    },
}

/// Where an address belongs, as far as the database says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The country's code, two letters (ISO 3166-1); where the database has only its name, that.
    pub country: Option<String>,
    /// The city's name in English; where the database has none in English, in the first language that it has.
    pub city: Option<String>,
}

/// How often to look whether the file has become another.
const LOOK: Duration = Duration::from_secs(60);

/// A database of places. A newer file that takes the place of the old one is taken within a minute; a bad one is not, and the
/// log says so.
#[derive(Debug)]
pub struct Places {
    path: PathBuf,
    loaded: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    reader: Arc<Reader<Vec<u8>>>,
    modified: Option<SystemTime>,
    looked: Instant,
}

impl Places {
    /// Reads the file into memory.
    ///
    /// # Errors
    /// [`PlacesError`] where that is no such database.
    pub fn open(path: &Path) -> Result<Self, PlacesError> {
        let loaded =
            Loaded { modified: modified(path), reader: Arc::new(read(path)?), looked: Instant::now() };
        Ok(Self { path: path.to_owned(), loaded: Mutex::new(loaded) })
    }

    /// Finds an address; `None` where the database has nothing of it.
    #[must_use]
    pub fn find(&self, ip: IpAddr) -> Option<Place> {
        let reader = self.reader();
        let entry = unless_it_panics(|| reader.lookup(plain(ip)).ok()?.decode::<Entry>().ok()?)??;
        let country = [entry.country, entry.registered_country].into_iter().flatten().find_map(Country::name);
        let place = Place { country, city: entry.city.and_then(|city| name(city.names)) };
        (place != Place::default()).then_some(place)
    }

    /// Returns what was read last, after a look at the file where that is due.
    fn reader(&self) -> Arc<Reader<Vec<u8>>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.looked.elapsed() >= LOOK {
            loaded.looked = Instant::now();
            let now = modified(&self.path);
            if now.is_some() && now != loaded.modified {
                loaded.modified = now;
                match read(&self.path) {
                    Ok(reader) => loaded.reader = Arc::new(reader),
                    Err(error) => tracing::warn!("{error}: the one before is used on"),
                }
            }
        }
        Arc::clone(&loaded.reader)
    }
}

fn read(path: &Path) -> Result<Reader<Vec<u8>>, PlacesError> {
    let refused = |cause| PlacesError::Open { path: path.to_owned(), cause };
    let senseless = || refused(MaxMindDbError::invalid_database("its numbers make no sense"));
    unless_it_panics(|| Reader::open_readfile(path)).ok_or_else(senseless)?.map_err(refused)
}

/// In a damaged file the library may reckon with numbers that make no sense, and panic: then there is nothing.
fn unless_it_panics<T>(ask: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(AssertUnwindSafe(ask)).ok()
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// What is taken of an entry; everything else is passed over.
#[derive(Deserialize)]
struct Entry {
    country: Option<Country>,
    registered_country: Option<Country>,
    city: Option<City>,
}

#[derive(Deserialize)]
struct Country {
    iso_code: Option<String>,
    #[serde(default)]
    names: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct City {
    #[serde(default)]
    names: BTreeMap<String, String>,
}

impl Country {
    fn name(self) -> Option<String> {
        self.iso_code.or_else(|| name(self.names))
    }
}

fn name(mut names: BTreeMap<String, String>) -> Option<String> {
    names.remove("en").or_else(|| names.into_values().next())
}

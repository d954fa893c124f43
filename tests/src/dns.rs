//! A resolver on loopback that answers as a test wants it to.

use simple_dns::{
    CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord,
    rdata::{CNAME, PTR, RData},
};
use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    time::Duration,
};

/// What to say of a name.
#[derive(Clone, Debug)]
pub enum Says {
    /// It is called this.
    Name(&'static str),
    /// It stands for another name.
    Alias(&'static str),
    /// There is no such name.
    Nothing,
    /// Nothing at all.
    Silence,
    /// That it cannot say.
    Failure,
    /// Lies first, with the number of another question and about another name; then that it is called this.
    Lies(&'static str),
}

/// A resolver.
pub struct Resolver {
    /// Where it is.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<UdpSocket>,
}

impl Resolver {
    /// Starts one that says this of these names, and of others that there are none.
    ///
    /// # Panics
    /// Where there is no socket.
    #[must_use]
    pub fn start(says: &[(&str, Says)]) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        socket.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let resolver = Self {
            address: socket.local_addr().unwrap(),
            asked: Arc::clone(&asked),
            stop: Arc::clone(&socket),
        };
        let says: BTreeMap<String, Says> =
            says.iter().map(|(n, says)| ((*n).to_owned(), says.clone())).collect();
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok((bytes, from)) = socket.recv_from(&mut buffer) {
                if bytes == 0 {
                    return;
                }
                let Ok(query) = Packet::parse(&buffer[..bytes]) else { continue };
                let name = query.questions[0].qname.to_string();
                asked.lock().unwrap().push(name.clone());
                let says = says.get(&name).cloned().unwrap_or(Says::Nothing);
                for reply in replies(&query, &name, &says) {
                    socket.send_to(&reply, from).unwrap();
                }
            }
        });
        resolver
    }

    /// Returns what was asked for so far, repetitions included, in order of the names.
    ///
    /// # Panics
    /// Where the resolver panicked.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let _ = self.stop.send_to(&[], self.address);
    }
}

fn replies(query: &Packet<'_>, name: &str, says: &Says) -> Vec<Vec<u8>> {
    let record = |owner: &str, rdata: RData<'static>| {
        ResourceRecord::new(Name::new_unchecked(owner).into_owned(), CLASS::IN, 60, rdata)
    };
    let pointer = |owner: &str, to: &'static str| record(owner, RData::PTR(PTR(Name::new_unchecked(to))));
    let reply = |id: u16, code: RCODE, answers: Vec<ResourceRecord<'static>>, question: bool| {
        let mut packet = Packet::new_reply(id);
        packet.set_flags(PacketFlag::RECURSION_AVAILABLE);
        *packet.rcode_mut() = code;
        if question {
            packet.questions.clone_from(&query.questions);
        }
        packet.answers = answers;
        packet.build_bytes_vec().unwrap()
    };
    let id = query.id();
    match says {
        Says::Silence => Vec::new(),
        Says::Nothing => vec![reply(id, RCODE::NameError, Vec::new(), true)],
        Says::Failure => vec![reply(id, RCODE::ServerFailure, Vec::new(), true)],
        Says::Name(to) => vec![reply(id, RCODE::NoError, vec![pointer(name, to)], true)],
        Says::Alias(to) => {
            let alias = format!("alias.{name}");
            let target = Name::new_unchecked(&alias).into_owned();
            let answers = vec![record(name, RData::CNAME(CNAME(target))), pointer(&alias, to)];
            vec![reply(id, RCODE::NoError, answers, true)]
        }
        Says::Lies(to) => vec![
            b"nonsense".to_vec(),
            reply(id.wrapping_add(1), RCODE::NoError, vec![pointer(name, "another.number")], true),
            reply(id, RCODE::NoError, vec![pointer(name, "no.question")], false),
            reply(
                id,
                RCODE::NoError,
                vec![pointer("other.in-addr.arpa", "other.owner"), pointer(name, to)],
                true,
            ),
        ],
    }
}

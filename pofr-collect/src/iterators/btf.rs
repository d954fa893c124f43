//! BTF: where the running kernel has its structures' fields (`/sys/kernel/btf/vmlinux`, Documentation/bpf/btf.rst).

use crate::netlink::u32_at;
use std::path::Path;

/// Where the kernel tells it, below `/sys`.
const VMLINUX: &str = "kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;
/// Bytes at most; the kernel's own, without modules, takes 5 MB.
const MOST: u64 = 64 << 20;

/// `BTF_KIND_*` of include/uapi/linux/btf.h, as far as they are told apart here.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// A kernel's types.
pub(super) struct Btf {
    bytes: Vec<u8>,
    /// Where the texts begin.
    texts: usize,
    /// Where each type begins, by number; number 0 is `void`.
    types: Vec<u32>,
}

/// A type (`struct btf_type`), and what follows it: members, parameters or other, as its kind has them.
struct Type<'a> {
    name: u32,
    kind: u32,
    /// How many members there are.
    count: usize,
    /// Whether members' offsets share their word with a size in bits.
    flag: bool,
    /// Another type's number, or a size.
    other: u32,
    appendix: &'a [u8],
}

impl Btf {
    /// Reads what the running kernel tells.
    pub(super) fn of_kernel(sys_root: &Path) -> Result<Self, String> {
        use std::io::Read as _;
        let path = sys_root.join(VMLINUX);
        let failed = |error| format!("{}: {error}", path.display());
        let file = std::fs::File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len().min(MOST);
        let mut bytes = Vec::with_capacity(usize::try_from(length + 1).unwrap_or(0));
        file.take(MOST).read_to_end(&mut bytes).map_err(failed)?;
        Self::parse(bytes).ok_or_else(|| format!("{}: not understood", path.display()))
    }

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        if u16::from_ne_bytes(*bytes.first_chunk()?) != MAGIC {
            return None;
        }
        let word = |at: usize| Some(u32_at(&bytes, at)? as usize);
        let (header, types_at, types_length, texts_at) = (word(4)?, word(8)?, word(12)?, word(16)?);
        let begin = header.checked_add(types_at)?;
        let end = begin.checked_add(types_length)?;
        let texts = header.checked_add(texts_at)?;
        let mut this = Self { bytes, texts, types: vec![0] };
        let mut at = begin;
        while at < end {
            let length = 12 + this.read(at)?.appendix.len();
            this.types.push(u32::try_from(at).ok()?);
            at += length;
        }
        Some(this)
    }

    /// Reads the type that begins at `at`.
    fn read(&self, at: usize) -> Option<Type<'_>> {
        let (name, info) = (u32_at(&self.bytes, at)?, u32_at(&self.bytes, at + 4)?);
        let other = u32_at(&self.bytes, at + 8)?;
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        let length = match kind {
            kind::INT | kind::VAR | kind::DECL_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * count,
            kind::ENUM | kind::FUNC_PROTO => 8 * count,
            _ => 0,
        };
        let appendix = self.bytes.get(at + 12..at + 12 + length)?;
        Some(Type { name, kind, count, flag: info >> 31 == 1, other, appendix })
    }

    fn get(&self, number: u32) -> Option<Type<'_>> {
        let at = *self.types.get(number as usize).filter(|_| number > 0)?;
        self.read(at as usize)
    }

    fn name(&self, at: u32) -> &[u8] {
        let texts = self.bytes.get(self.texts + at as usize..).unwrap_or_default();
        texts.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Finds a function or a structure by its name.
    fn find(&self, kind: u32, name: &str) -> Option<u32> {
        let is_it = |number: &u32| {
            self.get(*number).is_some_and(|t| t.kind == kind && self.name(t.name) == name.as_bytes())
        };
        (1..u32::try_from(self.types.len()).ok()?).find(is_it)
    }

    /// Returns a function's number.
    pub(super) fn function(&self, name: &str) -> Result<u32, String> {
        self.find(kind::FUNC, name).ok_or_else(|| format!("the kernel has no {name}"))
    }

    /// Finds a structure.
    pub(super) fn structure<'a>(&'a self, name: &'a str) -> Result<Structure<'a>, String> {
        let found = self.find(kind::STRUCT, name).ok_or_else(|| format!("the kernel has no {name}"))?;
        Ok(Structure { btf: self, name, number: found })
    }

    /// Finds a member of a structure, in those without a name as well: its offset in bits, and its type.
    fn member(&self, structure: u32, name: &str, depth: u32) -> Option<(u32, u32)> {
        let structure = self.get(self.resolved(structure)?)?;
        if !matches!(structure.kind, kind::STRUCT | kind::UNION) || depth > 8 {
            return None;
        }
        structure.appendix.chunks_exact(12).take(structure.count).find_map(|member| {
            let (text, of, offset) = (u32_at(member, 0)?, u32_at(member, 4)?, u32_at(member, 8)?);
            let offset = if structure.flag { offset & 0xff_ffff } else { offset };
            if self.name(text) == name.as_bytes() {
                return Some((offset, of));
            }
            let (within, of) = self.member(of, name, depth + 1).filter(|_| self.name(text).is_empty())?;
            Some((offset + within, of))
        })
    }

    /// Goes through names and qualifiers to the type that they stand for.
    fn resolved(&self, mut number: u32) -> Option<u32> {
        for _ in 0..32 {
            let found = self.get(number)?;
            match found.kind {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    number = found.other;
                }
                _ => return Some(number),
            }
        }
        None
    }
}

/// A structure of the kernel's.
pub(super) struct Structure<'a> {
    btf: &'a Btf,
    name: &'a str,
    number: u32,
}

impl Structure<'_> {
    /// Returns where a field stands, in bytes from the beginning; `path` goes through structures within it.
    pub(super) fn offset(&self, path: &[&str]) -> Result<i16, String> {
        let (mut number, mut offset) = (self.number, Some(0));
        for name in path {
            let member = self.btf.member(number, name, 0);
            offset = offset.zip(member).map(|(before, (bits, _))| before + bits);
            number = member.map_or(0, |(_, of)| of);
        }
        let bytes = offset.filter(|bits| bits % 8 == 0).and_then(|bits| i16::try_from(bits / 8).ok());
        bytes.ok_or_else(|| format!("the kernel's {} has no {}", self.name, path.join(".")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_where_the_kernel_says() {
        let Ok(btf) = Btf::of_kernel(Path::new("/sys")).inspect_err(|why| eprintln!("not run: {why}")) else {
            return;
        };
        let offset = |structure, path: &[&str]| btf.structure(structure).and_then(|s| s.offset(path));
        assert_eq!(offset("list_head", &["next"]), Ok(0));
        assert_eq!(offset("list_head", &["prev"]), Ok(8));
        let within = offset("sched_entity", &["sum_exec_runtime"]).unwrap();
        let outer = offset("task_struct", &["se"]).unwrap();
        assert_eq!(offset("task_struct", &["se", "sum_exec_runtime"]), Ok(outer + within));
        // In a union without a name, which is in a structure without one (include/linux/mm_types.h).
        assert!(offset("page", &["mapping"]).unwrap() >= 8);
        let error = offset("task_struct", &["se", "nonsense"]).unwrap_err();
        assert_eq!(error, "the kernel's task_struct has no se.nonsense");
        assert!(offset("nonsense", &["a"]).is_err() && offset("list_head", &["next", "next", "a"]).is_err());
        assert_eq!(btf.function("nonsense").unwrap_err(), "the kernel has no nonsense");
    }

    #[test]
    fn without_types_it_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let error = Btf::of_kernel(dir.path()).map(drop).unwrap_err();
        assert!(error.contains("kernel/btf/vmlinux"), "{error}");
        let path = dir.path().join("kernel/btf/vmlinux");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        for bad in [&b""[..], &[0x9f, 0xeb], &[0xff; 64], &[&[0x9f, 0xeb, 1, 0][..], &[0xff; 60]].concat()] {
            std::fs::write(&path, bad).unwrap();
            let error = Btf::of_kernel(dir.path()).map(drop).unwrap_err();
            assert!(error.contains("not understood"), "{error}");
        }
    }
}

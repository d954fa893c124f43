//! Which statements only read.
//!
//! The connection refuses to write anyway; this refuses what it would let through (reading and writing the server's files,
//! several statements) and says so clearly.

use crate::db::Dialect;
use pofr_core::store::StoreError;

/// Words that may begin a statement.
const FIRST: [&str; 6] = ["SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN"];

/// Words that may not occur: files on the server, variables, locks that would keep a writer out, sleeping.
const FORBIDDEN: [&str; 8] = [
    "INTO",
    "LOAD_FILE",
    "LOAD_EXTENSION",
    "GET_LOCK",
    "RELEASE_LOCK",
    "RELEASE_ALL_LOCKS",
    "ATTACH",
    "PROCEDURE",
];

/// Checks that `sql` is one statement that only reads.
pub(crate) fn check(sql: &str, dialect: Dialect) -> Result<(), StoreError> {
    let refuse = |why: String| Err(StoreError::NotReadOnly(why));
    let words = match words(sql, dialect) {
        Ok(words) => words,
        Err(why) => return refuse(why.to_owned()),
    };
    let Some(first) = words.first() else { return refuse("there is no statement".to_owned()) };
    if !FIRST.contains(&first.as_str()) {
        return refuse(format!("it begins with {first}"));
    }
    if let Some(word) = words.iter().find(|word| FORBIDDEN.contains(&word.as_str())) {
        return refuse(format!("it contains {word}"));
    }
    // A read that locks keeps the writer waiting.
    let locks =
        |pair: &[String]| pair[0] == "FOR" && pair[1] == "UPDATE" || pair[0] == "LOCK" && pair[1] == "IN";
    if words.windows(2).any(locks) {
        return refuse("it locks the rows that it reads".to_owned());
    }
    Ok(())
}

/// Returns the words of a statement in upper case, without strings, quoted names and comments.
fn words(sql: &str, dialect: Dialect) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut rest = sql;
    let mut ended = false;
    while let Some(c) = rest.chars().next() {
        let tail = &rest[c.len_utf8()..];
        match c {
            '\'' | '"' | '`' => {
                let backslash = dialect == Dialect::Mariadb && c != '`';
                rest = after_quoted(tail, c, backslash).ok_or("a quote is not closed")?;
                if ended {
                    return Err("there are several statements");
                }
                // A quoted name keeps words apart and is no word of ours.
                words.push(String::from("?"));
                continue;
            }
            '[' if dialect == Dialect::Sqlite => {
                rest = tail.split_once(']').ok_or("a bracket is not closed")?.1;
                continue;
            }
            '-' if tail.starts_with('-') => {
                rest = tail.split_once('\n').map_or("", |(_, rest)| rest);
                continue;
            }
            '#' if dialect == Dialect::Mariadb => {
                rest = tail.split_once('\n').map_or("", |(_, rest)| rest);
                continue;
            }
            '/' if tail.starts_with('*') => {
                if tail.starts_with("*!") || tail.starts_with("*M!") {
                    return Err("it has a comment that MariaDB would run");
                }
                rest = tail[1..].split_once("*/").map_or("", |(_, rest)| rest);
                continue;
            }
            ';' => ended = true,
            '\0' => return Err("it contains a NUL"),
            c if c.is_alphanumeric() || c == '_' || c == '$' || c == '@' => {
                if ended {
                    return Err("there are several statements");
                }
                let end = rest
                    .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$' || c == '@'))
                    .unwrap_or(rest.len());
                words.push(rest[..end].to_uppercase());
                rest = &rest[end..];
                continue;
            }
            c if c.is_whitespace() || !ended => {}
            _ => return Err("there are several statements"),
        }
        rest = tail;
    }
    Ok(words)
}

/// Returns what follows a quoted text whose opening quote was taken.
fn after_quoted(text: &str, quote: char, backslash: bool) -> Option<&str> {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && backslash {
            chars.next();
        } else if c == quote {
            let rest = &text[at + c.len_utf8()..];
            if !rest.starts_with(quote) {
                return Some(rest);
            }
            chars.next();
        }
    }
    None
}

/// What must hold of any text: what passes changes nothing in a database that is only read, and reaches no other.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    use diesel::{
        Connection as _, RunQueryDsl as _, SqliteConnection, connection::SimpleConnection as _, sql_query,
        sql_types::BigInt,
    };

    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }

    std::thread_local! {
        static DB: std::cell::RefCell<Option<SqliteConnection>> = const { std::cell::RefCell::new(None) };
    }
    let text = String::from_utf8_lossy(bytes);
    let _ = check(&text, Dialect::Mariadb).is_ok();
    // What never ends is the database's to end; here it would end the test.
    if check(&text, Dialect::Sqlite).is_err() || text.to_uppercase().contains("RECURSIVE") {
        return;
    }
    DB.with_borrow_mut(|db| {
        let db = db.get_or_insert_with(|| {
            let mut db = SqliteConnection::establish(":memory:").expect("there is memory");
            let schema = "CREATE TABLE psinfo (pid INTEGER, command TEXT); INSERT INTO psinfo VALUES (1, 'init'); PRAGMA query_only = ON";
            db.batch_execute(schema).expect("a schema that is right");
            db
        });
        let _ = sql_query(text.replace('\0', "")).execute(db);
        let count = "SELECT (SELECT COUNT(*) FROM psinfo) + 10 * (SELECT COUNT(*) FROM sqlite_master) \
            + 100 * (SELECT COUNT(*) FROM pragma_database_list) AS n";
        let count: Count = sql_query(count).get_result(db).expect("the database is as it was");
        assert_eq!(count.n, 111, "{text:?} changes the database");
    });
}

/// Good statements to begin with, and bad ones.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_seeds() -> Vec<Vec<u8>> {
    let seeds = [
        "select 1",
        "  SELECT 'a;b', \"x\", `into` FROM psinfo; ",
        "-- who\nselect * from psinfo where command = 'it''s'; -- done",
        "/* x */ WITH a AS (SELECT 1) SELECT * FROM a",
        "WITH a AS (SELECT 1) DELETE FROM psinfo",
        "EXPLAIN SELECT 1",
        "select 1; delete from psinfo",
        "ATTACH 'x' AS y",
        "select load_extension('x')",
        "SELECT [a], command FROM psinfo ORDER BY 1 LIMIT 3",
        "SELECT * INTO OUTFILE '/tmp/x' FROM psinfo",
        "SELECT 1 /*! ; DROP TABLE psinfo */",
        "SELECT '\\' ; DROP TABLE psinfo -- '",
    ];
    seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_pass() {
        for sql in [
            "select 1",
            "  SELECT 'a;b', \"x\", `into` FROM psinfo; ",
            "-- who\nselect * from psinfo where command = 'it''s'; -- done",
            "/* x */ WITH a AS (SELECT 1) SELECT * FROM a",
            "describe lhlt.lhlttable",
            "show tables",
            "EXPLAIN SELECT 1",
            "select replace(command, 'INTO', '') from psinfo",
        ] {
            for dialect in [Dialect::Sqlite, Dialect::Mariadb] {
                check(sql, dialect).unwrap_or_else(|e| panic!("{sql}: {e}"));
            }
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for sql in [
            "",
            "-- nothing",
            "DELETE FROM psinfo",
            "select 1; delete from psinfo",
            "select 1;;select 2",
            "SELECT 1 INTO OUTFILE '/tmp/x'",
            "select load_file('/etc/passwd')",
            "select 1 /*!; delete from psinfo */",
            "select 1 /*M! into @a */",
            "select 'unclosed",
            "select * from psinfo for update",
            "select * from psinfo lock in share mode",
            "select get_lock('pofr.x', 0)",
            "attach 'x' as y",
            "pragma query_only = off",
            "set global x = 1",
            "(select 1); drop table psinfo",
        ] {
            for dialect in [Dialect::Sqlite, Dialect::Mariadb] {
                assert!(check(sql, dialect).is_err(), "{sql}");
            }
        }
        // What is a string to the one is not to the other.
        assert!(check(r"select '\'; delete from psinfo; -- '", Dialect::Sqlite).is_err());
        assert!(check(r"select '\'' ; delete from psinfo", Dialect::Mariadb).is_err());
    }
}

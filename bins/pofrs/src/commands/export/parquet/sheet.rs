//! One Parquet file: rows come in, columns go out, a row group at a time.

use super::super::{
    columns::{Kind, Value},
    item::unicode,
};
use anyhow::Context as _;
use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel},
    data_type::{BoolType, ByteArray, ByteArrayType, Int64Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::{Type, TypePtr},
};
use std::{fs::File, path::PathBuf, sync::Arc};

/// Bytes of values after which a row group is written.
const GROUP_BYTES: usize = 4 << 20;
/// Rows after which a row group is written: DuckDB reads groups in parallel, and likes some 100,000 rows in each.
const GROUP_ROWS: usize = 122_880;

/// The values of a column that wait.
enum Column {
    Bytes(Vec<ByteArray>),
    Numbers(Vec<i64>),
    Flags(Vec<bool>),
}

/// A column with what says which of its values are there: 1 there, 0 NULL.
struct Buffer {
    column: Column,
    defined: Vec<i16>,
}

/// A file being written.
pub(super) struct Sheet {
    path: PathBuf,
    writer: SerializedFileWriter<File>,
    kinds: Vec<Kind>,
    buffers: Vec<Buffer>,
    rows: usize,
    bytes: usize,
}

impl Sheet {
    /// Begins a file with these columns.
    pub(super) fn new(path: PathBuf, file: File, layout: &[(&'static str, Kind)]) -> anyhow::Result<Self> {
        let (schema, buffers) = schema(layout)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("pofrs ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = SerializedFileWriter::new(file, schema, Arc::new(properties))
            .with_context(|| format!("cannot write {}", path.display()))?;
        let kinds = layout.iter().map(|(_, kind)| *kind).collect();
        Ok(Self { path, writer, kinds, buffers, rows: 0, bytes: 0 })
    }

    /// Adds a row: a value or NULL for each column.
    pub(super) fn row(&mut self, values: impl Iterator<Item = Option<Value>>) -> anyhow::Result<()> {
        let mut buffers = self.buffers.iter_mut();
        for (kind, value) in self.kinds.iter().zip(values) {
            let Some(buffer) = buffers.next() else { break };
            self.bytes += buffer.push(value.as_ref());
            if *kind == Kind::Text
                && let Some(raw) = buffers.next()
            {
                let bytes = match &value {
                    Some(Value::Text(text)) if std::str::from_utf8(text.as_bytes()).is_err() => {
                        Some(text.as_bytes().to_vec())
                    }
                    _ => None,
                };
                self.bytes += raw.push_bytes(bytes);
            }
        }
        self.rows += 1;
        if self.rows >= GROUP_ROWS || self.bytes >= GROUP_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what waits as one row group.
    fn flush(&mut self) -> anyhow::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        (self.rows, self.bytes) = (0, 0);
        let cannot = || format!("cannot write {}", self.path.display());
        let mut group = self.writer.next_row_group().with_context(cannot)?;
        for buffer in &mut self.buffers {
            let mut column = group.next_column().with_context(cannot)?.context("a column for each buffer")?;
            let defined = std::mem::take(&mut buffer.defined);
            match &mut buffer.column {
                Column::Bytes(values) => {
                    column.typed::<ByteArrayType>().write_batch(&std::mem::take(values), Some(&defined), None)
                }
                Column::Numbers(values) => {
                    column.typed::<Int64Type>().write_batch(&std::mem::take(values), Some(&defined), None)
                }
                Column::Flags(values) => {
                    column.typed::<BoolType>().write_batch(&std::mem::take(values), Some(&defined), None)
                }
            }
            .with_context(cannot)?;
            column.close().with_context(cannot)?;
        }
        group.close().with_context(cannot)?;
        Ok(())
    }

    /// Writes the rest, and the file's end.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        self.flush()?;
        let cannot = || format!("cannot write {}", self.path.display());
        self.writer.close().with_context(cannot)?;
        Ok(())
    }
}

impl Buffer {
    /// Adds a value; returns how many bytes it takes.
    fn push(&mut self, value: Option<&Value>) -> usize {
        match (value, &mut self.column) {
            (Some(Value::Text(text)), _) => return self.push_bytes(Some(unicode(text).into_bytes())),
            (Some(Value::Word(word)), _) => return self.push_bytes(Some(word.clone().into_bytes())),
            (Some(Value::Number(number)), Column::Numbers(numbers)) => numbers.push(*number),
            (Some(Value::Time(time)), Column::Numbers(numbers)) => numbers.push(time.0),
            (Some(Value::Flag(flag)), Column::Flags(flags)) => flags.push(*flag),
            // A value of another kind than its column's is none.
            _ => {
                self.defined.push(0);
                return 2;
            }
        }
        self.defined.push(1);
        10
    }

    fn push_bytes(&mut self, bytes: Option<Vec<u8>>) -> usize {
        let size = 2 + bytes.as_ref().map_or(0, |bytes| bytes.len() + 32);
        match (bytes, &mut self.column) {
            (Some(bytes), Column::Bytes(values)) => {
                values.push(bytes.into());
                self.defined.push(1);
            }
            _ => self.defined.push(0),
        }
        size
    }
}

/// Makes the file's schema, every column of which may be NULL, and a buffer for each.
fn schema(layout: &[(&'static str, Kind)]) -> anyhow::Result<(TypePtr, Vec<Buffer>)> {
    let (mut fields, mut buffers) = (Vec::new(), Vec::new());
    let mut add = |name: &str, physical: Physical, logical: Option<LogicalType>| {
        let field = Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build()?;
        fields.push(Arc::new(field));
        let column = match physical {
            Physical::INT64 => Column::Numbers(Vec::new()),
            Physical::BOOLEAN => Column::Flags(Vec::new()),
            _ => Column::Bytes(Vec::new()),
        };
        buffers.push(Buffer { column, defined: Vec::new() });
        anyhow::Ok(())
    };
    for (name, kind) in layout {
        match kind {
            Kind::Text => {
                add(name, Physical::BYTE_ARRAY, Some(LogicalType::String))?;
                add(&format!("{name}_raw"), Physical::BYTE_ARRAY, None)?;
            }
            Kind::Word => add(name, Physical::BYTE_ARRAY, Some(LogicalType::String))?,
            Kind::Number => add(name, Physical::INT64, None)?,
            Kind::Time => {
                add(name, Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS)))?;
            }
            Kind::Flag => add(name, Physical::BOOLEAN, None)?,
        }
    }
    let schema = Type::group_type_builder("pofr").with_fields(fields).build()?;
    Ok((Arc::new(schema), buffers))
}

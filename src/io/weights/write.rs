//! Writing weights, one tensor after the other.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::{CHUNK_BYTES, LENGTH_BYTES, METADATA_KEY};
use crate::io::atomic::{self, WriteError};
use crate::tensor::element_count;

/// A tensor to be written, borrowed from wherever its values live.
#[derive(Debug, Clone, Copy)]
pub struct NamedTensor<'a> {
    /// The name in the file.
    pub name: &'a str,
    /// The sizes, outermost axis first.
    pub shape: &'a [usize],
    /// The values in row-major order.
    pub data: &'a [f32],
}

/// Writes tensors and strings to a file, all or nothing, in the order given.
///
/// # Panics
///
/// If a shape and its number of values contradict each other, or two tensors share a name: such a
/// file could not be read again.
pub fn write(
    path: &Path,
    tensors: &[NamedTensor<'_>],
    metadata: &BTreeMap<String, String>,
) -> Result<(), WriteError> {
    let header = header_text(tensors, metadata);
    atomic::write(path, |writer| {
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(header.as_bytes())?;
        let mut buffer = Vec::with_capacity(CHUNK_BYTES);
        for part in tensors
            .iter()
            .flat_map(|tensor| tensor.data.chunks(CHUNK_BYTES / size_of::<f32>()))
        {
            buffer.clear();
            buffer.extend(part.iter().flat_map(|value| value.to_le_bytes()));
            writer.write_all(&buffer)?;
        }
        Ok(())
    })
}

fn header_text(tensors: &[NamedTensor<'_>], metadata: &BTreeMap<String, String>) -> String {
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        header.insert(METADATA_KEY.to_owned(), json!(metadata));
    }
    let mut begin = 0;
    for &NamedTensor { name, shape, data } in tensors {
        assert_eq!(
            element_count(shape),
            Some(data.len()),
            "the values of `{name}` fill its shape {shape:?}"
        );
        let end = begin + size_of_val(data);
        let entry = json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, end] });
        let old = header.insert(name.to_owned(), entry);
        assert!(
            old.is_none() && name != METADATA_KEY,
            "`{name}` names one tensor of the file"
        );
        begin = end;
    }
    let mut text = serde_json::Value::Object(header).to_string();
    // Values that start at a multiple of eight can be mapped into memory and used in place by other
    // readers.
    let padding = text.len().next_multiple_of(LENGTH_BYTES as usize) - text.len();
    text.extend(std::iter::repeat_n(' ', padding));
    text
}

//! The forms of content that clients verify themselves.

pub(super) const RAW: &str = "application/vnd.ipld.raw";
pub(super) const CAR: &str = "application/vnd.ipld.car";
/// The variants of a CAR: the name of each parameter in the query and in `Accept`, and its values.
pub(super) const CAR_PARAMETERS: [(&str, &str, &[&str]); 3] = [
    ("car-version", "version", &["1"]),
    ("car-order", "order", &["dfs", "unk"]),
    ("car-dups", "dups", &["y", "n"]),
];

//! Whether what should be a URL is one.

use url::Url;

/// Whether `text` is the URL of a database that several nodes may share.
#[must_use]
pub fn is_database_url(text: &str) -> bool {
    has_scheme(text, &["postgres", "postgresql"])
}

/// Whether `text` is the URL of something that speaks HTTP.
#[must_use]
pub fn is_http_url(text: &str) -> bool {
    has_scheme(text, &["http", "https"])
}

fn has_scheme(text: &str, schemes: &[&str]) -> bool {
    // Some would be understood without the slashes.
    let names_place = text.contains("://");
    names_place && Url::parse(text).is_ok_and(|url| schemes.contains(&url.scheme()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_from_what_looks_like_them() {
        for good in [
            "postgres://me:se%40cret@db.example:5432/jobs?sslmode=require",
            "postgresql:///jobs",
            "postgres://[::1]/jobs",
        ] {
            assert!(is_database_url(good), "{good}");
        }
        for bad in [
            "postgres//db.example/jobs",
            "postgres:db.example",
            "postgres://db.example:99999/jobs",
            "postgres://[::1/jobs",
            "mysql://db.example/jobs",
            "http://db.example",
            "",
        ] {
            assert!(!is_database_url(bad), "{bad}");
        }
        for good in ["http://127.0.0.1:7780", "https://u:p@gateway.example/x"] {
            assert!(is_http_url(good), "{good}");
        }
        for bad in [
            "http://127.0.0.1:99999",
            "http://a b:1",
            "http:",
            "http://",
            "//127.0.0.1",
        ] {
            assert!(!is_http_url(bad), "{bad}");
        }
    }
}

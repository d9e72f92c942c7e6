//! The time of day here, as the machine's time zone has it.

/// A time in seconds since 1970 as this machine's clocks on the wall show it, with the distance to UTC:
/// `2026-11-27 04:19:44 +0100`. `None` for times that the calendar does not have.
#[must_use]
pub fn local(seconds: i64) -> Option<String> {
    let seconds: libc::time_t = seconds;
    let mut time = libc::tm {
        tm_sec: 0,
        tm_min: 0,
        tm_hour: 0,
        tm_mday: 0,
        tm_mon: 0,
        tm_year: 0,
        tm_wday: 0,
        tm_yday: 0,
        tm_isdst: 0,
        tm_gmtoff: 0,
        tm_zone: std::ptr::null(),
    };
    // SAFETY: Both point to values that live longer than the call. What the C library keeps of the time zone it guards
    // by a lock, and nothing in this process changes the environment that it reads.
    #[expect(unsafe_code, reason = "only the C library knows the time zone")]
    let is_known = !unsafe { libc::localtime_r(&raw const seconds, &raw mut time) }.is_null();
    let offset = time.tm_gmtoff / 60;
    let (sign, minutes) = if offset < 0 {
        ('-', -offset)
    } else {
        ('+', offset)
    };
    is_known.then(|| {
        format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02} {sign}{:02}{:02}",
            i64::from(time.tm_year) + 1900,
            time.tm_mon + 1,
            time.tm_mday,
            time.tm_hour,
            time.tm_min,
            time.tm_sec,
            minutes / 60,
            minutes % 60,
        )
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    /// By what `date` says of the same time in the same zone.
    #[test]
    fn time_is_that_of_the_clocks_on_the_wall() {
        for seconds in [0, 1_790_000_000, 1_800_000_000] {
            let format = "+%Y-%m-%d %H:%M:%S %z";
            let date = Command::new("date")
                .args(["-d", &format!("@{seconds}"), format])
                .output()
                .unwrap();
            let date = String::from_utf8(date.stdout).unwrap();
            assert_eq!(super::local(seconds).as_deref(), Some(date.trim()));
        }
        assert_eq!(super::local(i64::MAX), None);
    }
}

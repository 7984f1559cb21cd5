//! Moments as the host writes them (RFC 3339), as seconds, without a library for calendars.
//!
//! Used by plugins that compare moments.

/// Counts the seconds from 1970-01-01T00:00:00Z to a moment in RFC 3339; fractions are dropped. `None` if it is not one.
pub fn unix_seconds(moment: &str) -> Option<i64> {
    let (date, time) = moment.split_once('T')?;
    let mut date = date.split('-').map(whole);
    let days = days_before(date.next()??, date.next()??, date.next()??);
    let at = time.find(['Z', '+', '-'])?;
    let (clock, offset) = time.split_at(at);
    let mut clock = clock
        .split_once('.')
        .map_or(clock, |(clock, _)| clock)
        .split(':')
        .map(whole);
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    Some(((days * 24 + hours) * 60 + minutes) * 60 + seconds - offset_seconds(offset)?)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Counts in years that begin in March, so that the leap day
/// is the last of its year.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

fn offset_seconds(offset: &str) -> Option<i64> {
    if offset == "Z" {
        return Some(0);
    }
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let seconds = (whole(hours)? * 60 + whole(minutes)?) * 60;
    Some(if offset.starts_with('-') {
        -seconds
    } else {
        seconds
    })
}

fn whole(digits: &str) -> Option<i64> {
    let is_number =
        !digits.is_empty() && digits.len() <= 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_become_seconds() {
        for (moment, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59Z", -1),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2000-03-01T00:00:00.999Z", 951_868_800),
            ("2026-12-05T18:30:00Z", 1_796_495_400),
            ("2026-12-05T19:30:00+01:00", 1_796_495_400),
            ("2026-12-05T14:00:00-04:30", 1_796_495_400),
        ] {
            assert_eq!(unix_seconds(moment), Some(seconds), "{moment}");
        }
        for wrong in [
            "",
            "2026-12-05",
            "2026-12-05T18:30:00",
            "2026-12-05T18:30Z",
            "x-12-05T18:30:00Z",
        ] {
            assert_eq!(unix_seconds(wrong), None, "{wrong}");
        }
    }
}

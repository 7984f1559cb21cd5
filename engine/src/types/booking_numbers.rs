//! Numbers of bookings for people: short, and easy to say over the phone.

use std::{fmt, str::FromStr};

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use crate::error::{Error, Result};

/// Crockford's base 32: no I, L, O and U. <https://www.crockford.com/base32.html>
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Bits of a number: ten digits.
const BITS: u32 = 50;
const MASK: u64 = (1 << BITS) - 1;
/// Bits of a booking's place in its group.
const PLACE_BITS: u32 = 8;
/// An odd factor and its inverse modulo 2^50. They spread the numbers of a group, so that one does not follow from another.
const SPREAD: u64 = 0x1_9E37_79B9_7F4B;
const GATHER: u64 = inverse_of(SPREAD);

/// A booking's number for people: ten characters of Crockford's base 32, unique within the tenant, shown as `7K3QX-9TB0A`. It is no
/// secret, and gives no rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BookingNumber(u64);

/// Bookings that are made in one transaction have numbers of one group, which is written once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NumberGroup(u64);

impl NumberGroup {
    /// Most bookings of a group.
    pub(crate) const BOOKINGS_MAX: usize = 1 << PLACE_BITS;

    /// The group of 42 bits of an id's digest: a platform's own ids need not be random. Whether another has it shows when it is written.
    pub(crate) fn of(id: Ulid) -> Self {
        let digest = Sha256::digest(id.to_bytes());
        let bits = digest.iter().take(8);
        let bits = bits.fold(0, |bits, byte| (bits << 8) | u64::from(*byte));
        Self(bits & (MASK >> PLACE_BITS))
    }

    /// The number of the booking at a place below [`Self::BOOKINGS_MAX`].
    pub(crate) fn number_at(self, place: usize) -> BookingNumber {
        let plain = (self.0 << PLACE_BITS) | (place as u64 % Self::BOOKINGS_MAX as u64);
        BookingNumber(fold(fold(plain).wrapping_mul(SPREAD) & MASK))
    }

    /// A group from a record's name.
    pub(crate) fn stored(bits: i64) -> Self {
        Self(bits.cast_unsigned())
    }

    /// The group as its record names it.
    pub(crate) fn bits(self) -> i64 {
        self.0.cast_signed()
    }
}

impl BookingNumber {
    /// A number from a row.
    pub(crate) fn stored(bits: i64) -> Self {
        Self(bits.cast_unsigned() & MASK)
    }

    /// The number as a row has it.
    pub(crate) fn bits(self) -> i64 {
        self.0.cast_signed()
    }

    /// Its group, and its place in it.
    pub(crate) fn place(self) -> (NumberGroup, usize) {
        let plain = fold(fold(self.0).wrapping_mul(GATHER) & MASK);
        let place = plain & (NumberGroup::BOOKINGS_MAX as u64 - 1);
        (NumberGroup(plain >> PLACE_BITS), place as usize)
    }
}

/// Mixes the upper half into the lower one. Its own inverse.
const fn fold(number: u64) -> u64 {
    number ^ (number >> (BITS / 2))
}

/// The inverse of an odd number modulo 2^50, by Newton's iteration: each round doubles the right bits.
const fn inverse_of(odd: u64) -> u64 {
    let (mut inverse, mut round) = (odd, 0);
    while round < 6 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        round += 1;
    }
    inverse & MASK
}

impl fmt::Display for BookingNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(11);
        for index in (0..10).rev() {
            let digit = (self.0 >> (5 * index)) & 31;
            text.push(char::from(DIGITS[digit as usize]));
            if index == 5 {
                text.push('-');
            }
        }
        formatter.write_str(&text)
    }
}

impl FromStr for BookingNumber {
    type Err = Error;

    /// Reads a number as people write it: in any case, with or without hyphens and spaces, O for 0, I and L for 1.
    ///
    /// # Errors
    /// `field-invalid` at `number` for any other text.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let rule = "A booking number has ten letters and digits, such as 7K3QX-9TB0A.";
            Error::field("number", rule)
        };
        let (mut number, mut digits) = (0, 0);
        for character in text.chars().take(40) {
            let digit = match character.to_ascii_uppercase() {
                '-' | ' ' => continue,
                'O' => 0,
                'I' | 'L' => 1,
                other => {
                    let mut known = DIGITS.iter();
                    let place = known.position(|digit| char::from(*digit) == other);
                    place.ok_or_else(wrong)? as u64
                }
            };
            digits += 1;
            if digits > 10 {
                return Err(wrong());
            }
            number = (number << 5) | digit;
        }
        match digits {
            10 => Ok(Self(number)),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for BookingNumber {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_number_leads_to_its_group_and_place() {
        let mut id = 1_u128;
        for round in 0..2_000 {
            id = id
                .wrapping_mul(0x2545_F491_4F6C_DD1D_8531)
                .wrapping_add(round);
            let (group, place) = (
                NumberGroup::of(Ulid(id)),
                id as usize % NumberGroup::BOOKINGS_MAX,
            );
            let number = group.number_at(place);
            assert_eq!(number.place(), (group, place));
            assert_eq!(BookingNumber::stored(number.bits()), number);
            let text = number.to_string();
            assert_eq!(text.len(), 11);
            assert_eq!(text.parse::<BookingNumber>().unwrap(), number);
            let spoken = text.replace('-', " ").replace('0', "o").replace('1', "l");
            let read: BookingNumber = spoken.to_lowercase().parse().unwrap();
            assert_eq!(read, number);
        }
    }

    #[test]
    fn numbers_of_a_group_do_not_follow_from_each_other() {
        let group = NumberGroup::of(Ulid(0x1234_5678_9ABC));
        let texts: Vec<String> = (0..NumberGroup::BOOKINGS_MAX)
            .map(|place| group.number_at(place).to_string())
            .collect();
        let beginnings: HashSet<&str> = texts.iter().map(|text| &text[..3]).collect();
        assert!(beginnings.len() > 200, "{} beginnings", beginnings.len());
    }

    #[test]
    fn other_texts_are_no_numbers() {
        for text in [
            "",
            "7K3QX",
            "7K3QX-9TB0AA",
            "7K3QX-9TB0U",
            "7K3QX-9TB0é",
            "7K3QX_9TB0A",
        ] {
            let error = text.parse::<BookingNumber>().unwrap_err();
            assert_eq!(error.field_name(), Some("number"), "{text:?}");
        }
    }
}

//! Checks an uploaded logo: a PNG picture (ISO/IEC 15948), decoded whole, so that mail programs can show it.
//!
//! Called by the tenants module. Pure.

use std::io::Cursor;

use sha2::{Digest as _, Sha256};

use crate::{
    error::{Error, ErrorCode, Result},
    types::LogoFacts,
};

/// Most bytes of a logo: each mail carries it. Pictures of this size with few colours have a tenth of that.
const LOGO_BYTES_MAX: usize = 64 * 1024;
/// Largest logo: twice the width of a mail, for dense screens.
const WIDTH_MAX: u32 = 1_200;
const HEIGHT_MAX: u32 = 600;
/// What the decoder may allocate: it keeps two rows, at most 8 bytes a pixel, and chunks of the file.
const DECODER_BYTES_MAX: usize = 512 * 1024;
/// The last chunk of every PNG file.
const END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";

const NO_PICTURE: &str =
    "The logo must be a whole PNG picture: export it again as PNG, without animation.";

/// Checks a logo off the thread of requests: the largest one inflates to 6 MB.
pub(super) async fn checked(bytes: Vec<u8>) -> Result<(LogoFacts, Vec<u8>)> {
    let check = tokio::task::spawn_blocking(move || Ok((check(&bytes)?, bytes)));
    check.await.map_err(Error::internal)?
}

/// # Errors
/// `body-too-large`, or `field-invalid` at `logo`.
fn check(bytes: &[u8]) -> Result<LogoFacts> {
    if bytes.len() > LOGO_BYTES_MAX {
        return Err(Error::new(
            ErrorCode::BodyTooLarge,
            "A logo has at most 64 KiB (65,536 bytes): make it smaller, or use fewer colours.",
        ));
    }
    let invalid = |rule: &'static str| Error::field("logo", rule);
    if !bytes.ends_with(END) {
        return Err(invalid(NO_PICTURE));
    }
    let (width, height) = decode(bytes)
        .map_err(|_| invalid(NO_PICTURE))?
        .ok_or_else(|| invalid("A logo is 1 to 1,200 pixels wide and 1 to 600 high."))?;
    let hash = Sha256::digest(bytes);
    Ok(LogoFacts {
        sha256: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        width,
        height,
    })
}

/// Decodes every row of a picture, one at a time, and returns its size; `None` if it is too large, before a row is decoded.
fn decode(bytes: &[u8]) -> Result<Option<(u32, u32)>, png::DecodingError> {
    let limits = png::Limits {
        bytes: DECODER_BYTES_MAX,
    };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    // They may inflate to anything, and nobody reads them.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info()?;
    let (width, height) = (header.width, header.height);
    if width > WIDTH_MAX || height > HEIGHT_MAX {
        return Ok(None);
    }
    let mut reader = decoder.read_info()?;
    if reader.info().animation_control.is_some() {
        return Err(std::io::Error::other("an animation").into());
    }
    while reader.next_row()?.is_some() {}
    reader.finish()?;
    Ok(Some((width, height)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgba);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().unwrap();
        let pixels = vec![0x7f; (width * height * 4) as usize];
        writer.write_image_data(&pixels).unwrap();
        writer.finish().unwrap();
        bytes
    }

    /// A chunk of a file, with its check sum.
    fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let mut crc = u32::MAX;
        for byte in name.iter().chain(data) {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            }
        }
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&length[..], name, data, &(!crc).to_be_bytes()].concat()
    }

    /// A file with another size in its header.
    fn resized(mut bytes: Vec<u8>, width: u32, height: u32) -> Vec<u8> {
        let rest = bytes.split_off(33);
        let kind = bytes[24..29].to_vec();
        let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &kind].concat();
        [&bytes[..8], &chunk(b"IHDR", &header), &rest].concat()
    }

    /// A file with a chunk behind its header.
    fn with_chunk(bytes: &[u8], name: &[u8; 4], data: &[u8]) -> Vec<u8> {
        [&bytes[..33], &chunk(name, data), &bytes[33..]].concat()
    }

    #[track_caller]
    fn refused(bytes: &[u8], part: &str) {
        let error = check(bytes).unwrap_err();
        assert_eq!(error.field_name(), Some("logo"));
        assert!(error.detail().contains(part), "{}", error.detail());
    }

    #[test]
    fn pictures_within_the_limits_are_taken() {
        for (width, height) in [(1, 1), (240, 80), (1_200, 600)] {
            let facts = check(&picture(width, height)).unwrap();
            assert_eq!((facts.width, facts.height), (width, height));
            assert_eq!(facts.sha256.len(), 64);
        }
        assert!(
            check(&resized(picture(3, 2), 3, 2)).is_ok(),
            "the helper's check sums are right"
        );
        let commented = with_chunk(&picture(3, 2), b"tEXt", b"Comment\0made by hand");
        assert!(check(&commented).is_ok());
    }

    #[test]
    fn what_is_no_whole_picture_is_refused() {
        let whole = picture(240, 80);
        refused(b"", "PNG");
        refused(b"GIF89a\x01\x00\x01\x00\x00\xff\x00,", "PNG");
        refused(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "PNG");
        refused(&[b"\x89PNG\r\n\x1a\n", END].concat(), "PNG");
        for cut in [1, 12, 20, whole.len() / 2, whole.len() - 9] {
            refused(&whole[..whole.len() - cut], "PNG");
        }
        // The middle is gone, but not the end.
        let middle = whole.len() / 2;
        refused(&[&whole[..middle], END].concat(), "PNG");
        let mut broken = whole.clone();
        broken[middle] ^= 0xff;
        refused(&broken, "PNG");
        refused(&[&whole[..], b"<script>"].concat(), "PNG");
        // Fewer rows than its header says.
        refused(&resized(whole.clone(), 240, 600), "PNG");
        let animation = with_chunk(&whole, b"acTL", &[0, 0, 0, 1, 0, 0, 0, 0]);
        refused(&animation, "PNG");
    }

    #[test]
    fn large_pictures_are_refused_before_they_are_decoded() {
        for (width, height) in [(1_201, 1), (1, 601), (u32::MAX >> 1, u32::MAX >> 1)] {
            refused(&resized(picture(1, 1), width, height), "1,200 pixels");
        }
        let error = check(&vec![0; LOGO_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::BodyTooLarge);
    }

    #[test]
    fn text_that_inflates_is_not_read() {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 1, 1);
        encoder
            .add_ztxt_chunk("Comment".to_owned(), "x".repeat(8 << 20))
            .unwrap();
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[0]).unwrap();
        writer.finish().unwrap();
        assert!(bytes.len() < LOGO_BYTES_MAX, "{} bytes", bytes.len());
        let facts = check(&bytes).unwrap();
        assert_eq!((facts.width, facts.height), (1, 1));
    }
}

use super::{reader::TRAITS_BYTES, *};
use crate::Error;
use futures::stream;
use mc_types::cid;

fn blocks() -> Vec<Block> {
    let bytes = [&b"one"[..], b"", &[7; 100_000]];
    bytes
        .into_iter()
        .map(|b| Block::encode(cid::RAW, b.to_vec()).unwrap())
        .collect()
}

fn car() -> Vec<u8> {
    let mut car = header(&[]).to_vec();
    blocks()
        .iter()
        .for_each(|block| car.extend(section(block).concat()));
    car
}

fn read(car: &[u8], piece: usize) -> Result<Vec<Block>, Error> {
    let pieces: Vec<_> = car
        .chunks(piece)
        .map(|p| Ok::<_, Error>(Bytes::copy_from_slice(p)))
        .collect();
    let mut reader = Reader::new(stream::iter(pieces));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut blocks = Vec::new();
        while let Some(block) = reader.next().await? {
            blocks.push(block);
        }
        Ok(blocks)
    })
}

#[test]
fn blocks_survive_however_the_stream_is_cut_into_pieces() {
    for piece in [1, 2, 3, 1000, 1 << 20] {
        assert_eq!(read(&car(), piece).unwrap(), blocks());
    }
}

#[test]
fn truncation_is_noticed_except_between_sections() {
    let car = car();
    let boundaries: Vec<usize> = blocks()
        .iter()
        .scan(header(&[]).len(), |at, block| {
            let here = *at;
            *at += section(block).concat().len();
            Some(here)
        })
        .collect();
    for length in (0..200).chain(car.len() - 50..car.len()) {
        let result = read(&car[..length], 4096);
        assert_eq!(
            result.is_ok(),
            boundaries.contains(&length),
            "{length} bytes"
        );
    }
}

#[test]
fn flipped_bytes_never_give_another_block() {
    let good = car();
    for position in 0..good.len().min(400) {
        let mut bad = good.clone();
        bad[position] ^= 1;
        if let Ok(read) = read(&bad, 4096) {
            assert!(read.iter().all(|b| cid::verify(b.cid(), b.bytes()).is_ok()));
        }
    }
}

/// Version 2 around version 1: where that begins, how long it is said to be, and what follows it.
fn wrapped(begins: u64, bytes: u64, index: &[u8]) -> Vec<u8> {
    let mut wrapped = b"\x0a\xa1\x67version\x02".to_vec();
    wrapped.extend([0; TRAITS_BYTES]);
    for place in [begins, bytes, begins + bytes] {
        wrapped.extend(place.to_le_bytes());
    }
    wrapped.resize(usize::try_from(begins).unwrap().max(51), 0);
    wrapped.extend(car());
    wrapped.extend(index);
    wrapped
}

#[test]
fn version_2_has_the_blocks_that_version_1_in_it_has() {
    let length = u64::try_from(car().len()).unwrap();
    for begins in [51, 52, 2000] {
        let index = [0x81_u8, 8, 0, 0xff].repeat(50);
        let wrapped = wrapped(begins, length, &index);
        for piece in [1, 7, 1000, 1 << 20] {
            assert_eq!(read(&wrapped, piece).unwrap(), blocks(), "{begins} {piece}");
        }
    }
}

#[test]
fn version_2_that_contradicts_itself_is_refused() {
    let length = u64::try_from(car().len()).unwrap();
    let whole = wrapped(60, length, b"");
    for end in [11, 30, 51, 55, 60, 62, whole.len() - 1] {
        assert!(read(&whole[..end], 4096).is_err(), "{end} bytes");
    }
    let reason = |car: &[u8]| read(car, 4096).unwrap_err().to_string();
    assert!(reason(&wrapped(50, length, b"")).contains("begin before its end"));
    assert!(reason(&wrapped(0, 0, b"")).contains("begin before its end"));
    assert!(reason(&wrapped(51, 0, b"")).contains("it is empty"));
    assert!(reason(&wrapped(51, length - 1, b"")).contains("after the blocks"));
    assert!(reason(&wrapped(51, length + 1, b"")).contains("cut off"));
    // One version 2 in another.
    let mut twice = wrapped(51, 1 << 40, b"");
    twice.truncate(51);
    twice.extend(wrapped(51, length, b""));
    assert!(reason(&twice).contains("only CAR versions 1 and 2"));
}

#[test]
fn oversized_section_is_refused_before_it_is_read() {
    let mut car = BytesMut::from(&header(&[])[..]);
    put_length(&mut car, usize::MAX >> 1);
    let error = read(&car, 4096).unwrap_err();
    assert!(matches!(error, Error::Car { .. }), "{error}");
}

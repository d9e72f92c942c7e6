//! Instructions by the type of what they are about.

use crate::Refused;
use wasm_encoder::{
    Instruction as I, MemArg,
    reencode::{Reencode, RoundtripReencoder},
};
use wasmparser::ValType;

pub(crate) fn zero(ty: ValType) -> Result<I<'static>, Refused> {
    Ok(match ty {
        ValType::I32 => I::I32Const(0),
        ValType::I64 => I::I64Const(0),
        ValType::F32 => I::F32Const(0.0.into()),
        ValType::F64 => I::F64Const(0.0.into()),
        ValType::V128 => I::V128Const(0),
        ValType::Ref(ty) => I::RefNull(RoundtripReencoder.heap_type(ty.heap_type()).map_err(
            |_: wasm_encoder::reencode::Error| Refused::Shape("a reference of no type"),
        )?),
    })
}

pub(crate) fn store(ty: ValType, at: MemArg) -> Result<I<'static>, Refused> {
    Ok(match ty {
        ValType::I32 => I::I32Store(at),
        ValType::I64 => I::I64Store(at),
        ValType::F32 => I::F32Store(at),
        ValType::F64 => I::F64Store(at),
        ValType::V128 => I::V128Store(at),
        ValType::Ref(_) => return Err(Refused::Shape("a reference in a frame")),
    })
}

pub(crate) fn load(ty: ValType, at: MemArg) -> Result<I<'static>, Refused> {
    Ok(match ty {
        ValType::I32 => I::I32Load(at),
        ValType::I64 => I::I64Load(at),
        ValType::F32 => I::F32Load(at),
        ValType::F64 => I::F64Load(at),
        ValType::V128 => I::V128Load(at),
        ValType::Ref(_) => return Err(Refused::Shape("a reference in a frame")),
    })
}

//! `wasi:filesystem`

use super::{
    call::{Returned, attempt, call},
    form::Form,
    package::Package,
    types::{
        Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
        DirectoryEntryStream, ErrorCode, InputStream, IoError, MetadataHashValue, NewTimestamp,
        OpenFlags, OutputStream, PathFlags,
    },
};
use crate::guest::{Call, Guest};
use mc_wasi::{FileKind, Host, Opening, Stat, Status};
use wasmtime::component::{Linker, LinkerInstance, ResourceType};

const TYPES: &str = "wasi:filesystem/types@0.2.6";

type This<F> = <F as Form>::Borrow<Descriptor>;

/// `wasi:filesystem`.
pub(super) struct Filesystem;

impl Package for Filesystem {
    const INTERFACES: &'static [&'static str] =
        &["wasi:filesystem/preopens", "wasi:filesystem/types"];

    fn add<F: Form>(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
        let mut types = linker.instance(TYPES)?;
        resources::<F>(&mut types)?;
        streams::<F>(&mut types)?;
        contents::<F>(&mut types)?;
        flags::<F>(&mut types)?;
        metadata::<F>(&mut types)?;
        paths::<F>(&mut types)?;
        entries::<F>(&mut types)?;
        two_paths::<F>(&mut types)?;
        listing::<F>(&mut types)?;
        let mut preopens = linker.instance("wasi:filesystem/preopens@0.2.6")?;
        let descriptor = ResourceType::host::<Descriptor>();
        preopens.resource("descriptor", descriptor, Guest::drop_handle)?;
        preopens.func_wrap("get-directories", |cx: Call<'_>, (): ()| {
            call(cx, |host| {
                let root = F::own::<Descriptor>(host.open_root()?);
                Ok(vec![(root, "/".to_owned())])
            })
        })
    }
}

fn resources<F: Form>(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    for (name, ty) in [
        ("descriptor", ResourceType::host::<Descriptor>()),
        (
            "directory-entry-stream",
            ResourceType::host::<DirectoryEntryStream>(),
        ),
        ("input-stream", ResourceType::host::<InputStream>()),
        ("output-stream", ResourceType::host::<OutputStream>()),
        ("error", ResourceType::host::<IoError>()),
    ] {
        types.resource(name, ty, Guest::drop_handle)?;
    }
    types.func_wrap(
        "filesystem-error-code",
        |cx: Call<'_>, (error,): (F::Borrow<IoError>,)| {
            call(cx, |host| {
                Ok(Some(ErrorCode::from(host.error(F::number(&error))?)))
            })
        },
    )
}

fn streams<F: Form>(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        &F::name("[method]descriptor.read-via-stream"),
        |cx: Call<'_>, (this, offset): (This<F>, u64)| {
            attempt(cx, |host| {
                let stream = host.read_via_stream(F::number(&this), offset)?;
                Ok(F::own::<InputStream>(stream))
            })
        },
    )?;
    types.func_wrap(
        &F::name("[method]descriptor.write-via-stream"),
        |cx: Call<'_>, (this, offset): (This<F>, u64)| write_stream::<F>(cx, &this, Some(offset)),
    )?;
    types.func_wrap(
        &F::name("[method]descriptor.append-via-stream"),
        |cx: Call<'_>, (this,): (This<F>,)| write_stream::<F>(cx, &this, None),
    )
}

fn write_stream<F: Form>(
    cx: Call<'_>,
    this: &This<F>,
    offset: Option<u64>,
) -> Returned<Result<F::Own<OutputStream>, ErrorCode>> {
    attempt(cx, |host| {
        let stream = host.write_via_stream(F::number(this), offset)?;
        Ok(F::own::<OutputStream>(stream))
    })
}

fn contents<F: Form>(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        &F::name("[method]descriptor.advise"),
        |cx: Call<'_>, (this, _, _, _): (This<F>, u64, u64, Advice)| {
            attempt(cx, |host| {
                Ok(host.descriptor(F::number(&this)).map(drop)?)
            })
        },
    )?;
    for name in ["[method]descriptor.sync", "[method]descriptor.sync-data"] {
        types.func_wrap(&F::name(name), |cx: Call<'_>, (this,): (This<F>,)| {
            attempt(cx, |host| {
                Ok(host.descriptor(F::number(&this)).map(drop)?)
            })
        })?;
    }
    types.func_wrap(
        &F::name("[method]descriptor.set-size"),
        |cx: Call<'_>, (this, size): (This<F>, u64)| {
            attempt(cx, |host| host.set_size(F::number(&this), size))
        },
    )?;
    types.func_wrap(
        &F::name("[method]descriptor.read"),
        |cx: Call<'_>, (this, length, offset): (This<F>, u64, u64)| {
            attempt(cx, |host| {
                let mut bytes = vec![0; usize::try_from(length.min(1 << 20)).unwrap_or_default()];
                let read = host.read_at(F::number(&this), offset, &mut bytes)?;
                bytes.truncate(read);
                let stat = host.stat(F::number(&this))?;
                let end = match stat.kind {
                    // It has no size.
                    FileKind::Device => read == 0,
                    _ => offset.saturating_add(read as u64) >= stat.size,
                };
                Ok((bytes, end))
            })
        },
    )?;
    types.func_wrap(
        &F::name("[method]descriptor.write"),
        |cx: Call<'_>, (this, bytes, offset): (This<F>, Vec<u8>, u64)| {
            attempt(cx, |host| {
                host.write_at(F::number(&this), offset, &bytes)?;
                Ok(bytes.len() as u64)
            })
        },
    )
}

fn flags<F: Form>(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        &F::name("[method]descriptor.get-flags"),
        |cx: Call<'_>, (this,): (This<F>,)| {
            attempt(cx, |host| {
                let is_directory = host.stat(F::number(&this))?.kind == FileKind::Directory;
                let descriptor = host.descriptor(F::number(&this))?;
                let mut flags = DescriptorFlags::empty();
                if descriptor.read {
                    flags |= DescriptorFlags::READ;
                }
                if descriptor.write {
                    flags |= if is_directory {
                        DescriptorFlags::MUTATE_DIRECTORY
                    } else {
                        DescriptorFlags::WRITE
                    };
                }
                for (flag, status) in synchronising() {
                    if descriptor.status.contains(status) {
                        flags |= flag;
                    }
                }
                Ok(flags)
            })
        },
    )
}

fn metadata<F: Form>(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        &F::name("[method]descriptor.get-type"),
        |cx: Call<'_>, (this,): (This<F>,)| {
            attempt(cx, |host| {
                Ok(DescriptorType::from(host.stat(F::number(&this))?.kind))
            })
        },
    )?;
    types.func_wrap(
        &F::name("[method]descriptor.stat"),
        |cx: Call<'_>, (this,): (This<F>,)| {
            attempt(cx, |host| {
                Ok(DescriptorStat::from(host.stat(F::number(&this))?))
            })
        },
    )?;
    types.func_wrap(
        &F::name("[method]descriptor.set-times"),
        |cx: Call<'_>, (this, accessed, modified): (This<F>, NewTimestamp, NewTimestamp)| {
            attempt(cx, |host| {
                host.set_times(F::number(&this), accessed.try_into()?, modified.try_into()?)
            })
        },
    )?;
    types.func_wrap(
        &F::name("[method]descriptor.is-same-object"),
        |cx: Call<'_>, (this, other): (This<F>, This<F>)| {
            call(cx, |host| {
                let node =
                    |host: &Host, this: &This<F>| host.descriptor(F::number(this)).map(|d| d.node);
                Ok(node(host, &this).is_ok_and(|this| node(host, &other) == Ok(this)))
            })
        },
    )?;
    types.func_wrap(
        &F::name("[method]descriptor.metadata-hash"),
        |cx: Call<'_>, (this,): (This<F>,)| {
            attempt(cx, |host| Ok(hash(host.stat(F::number(&this))?)))
        },
    )
}

/// What differs between any two files, and when a file has changed.
fn hash(stat: Stat) -> MetadataHashValue {
    MetadataHashValue {
        lower: stat.node.0,
        upper: stat.modified ^ stat.size.rotate_left(32),
    }
}

fn paths<F: Form>(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        &F::name("[method]descriptor.open-at"),
        |cx: Call<'_>,
         (this, path_flags, path, open, flags): (
            This<F>,
            PathFlags,
            String,
            OpenFlags,
            DescriptorFlags,
        )| {
            attempt(cx, |host| {
                let how = opening(path_flags, open, flags);
                Ok(F::own::<Descriptor>(host.open_at(
                    F::number(&this),
                    &path,
                    how,
                )?))
            })
        },
    )?;
    types.func_wrap(
        &F::name("[method]descriptor.stat-at"),
        |cx: Call<'_>, (this, flags, path): (This<F>, PathFlags, String)| {
            attempt(cx, |host| {
                let stat = host.stat_at(F::number(&this), &path, follows(flags))?;
                Ok(DescriptorStat::from(stat))
            })
        },
    )?;
    types.func_wrap(
        &F::name("[method]descriptor.metadata-hash-at"),
        |cx: Call<'_>, (this, flags, path): (This<F>, PathFlags, String)| {
            attempt(cx, |host| {
                Ok(hash(host.stat_at(
                    F::number(&this),
                    &path,
                    follows(flags),
                )?))
            })
        },
    )?;
    types.func_wrap(
        &F::name("[method]descriptor.set-times-at"),
        |cx: Call<'_>,
         (this, flags, path, accessed, modified): (
            This<F>,
            PathFlags,
            String,
            NewTimestamp,
            NewTimestamp,
        )| {
            attempt(cx, |host| {
                let (accessed, modified) = (accessed.try_into()?, modified.try_into()?);
                host.set_times_at(F::number(&this), &path, follows(flags), accessed, modified)
            })
        },
    )
}

fn entries<F: Form>(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        &F::name("[method]descriptor.create-directory-at"),
        |cx: Call<'_>, (this, path): (This<F>, String)| {
            attempt(cx, |host| host.create_directory(F::number(&this), &path))
        },
    )?;
    types.func_wrap(
        &F::name("[method]descriptor.remove-directory-at"),
        |cx: Call<'_>, (this, path): (This<F>, String)| {
            attempt(cx, |host| host.remove_directory(F::number(&this), &path))
        },
    )?;
    types.func_wrap(
        &F::name("[method]descriptor.unlink-file-at"),
        |cx: Call<'_>, (this, path): (This<F>, String)| {
            attempt(cx, |host| host.remove_file(F::number(&this), &path))
        },
    )?;
    types.func_wrap(
        &F::name("[method]descriptor.readlink-at"),
        |cx: Call<'_>, (this, path): (This<F>, String)| {
            attempt(cx, |host| host.read_link(F::number(&this), &path))
        },
    )
}

fn follows(flags: PathFlags) -> bool {
    flags.contains(PathFlags::SYMLINK_FOLLOW)
}

fn opening(path: PathFlags, open: OpenFlags, flags: DescriptorFlags) -> Opening {
    let asked = synchronising()
        .into_iter()
        .filter(|(flag, _)| flags.contains(*flag));
    Opening {
        flags: mc_wasi::OpenFlags {
            create: open.contains(OpenFlags::CREATE),
            directory: open.contains(OpenFlags::DIRECTORY),
            exclusive: open.contains(OpenFlags::EXCLUSIVE),
            truncate: open.contains(OpenFlags::TRUNCATE),
            follow: follows(path),
            write: flags.contains(DescriptorFlags::WRITE),
        },
        read: flags.contains(DescriptorFlags::READ),
        mutate: flags.contains(DescriptorFlags::MUTATE_DIRECTORY),
        status: asked.fold(Status::NONE, |status, (_, one)| status.with(one)),
    }
}

/// Flags of a descriptor that are always true of files in memory, by their names in preview 1.
const fn synchronising() -> [(DescriptorFlags, Status); 3] {
    [
        (DescriptorFlags::FILE_INTEGRITY_SYNC, Status::SYNC),
        (DescriptorFlags::DATA_INTEGRITY_SYNC, Status::DATA_SYNC),
        (DescriptorFlags::REQUESTED_WRITE_SYNC, Status::READ_SYNC),
    ]
}

fn two_paths<F: Form>(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        &F::name("[method]descriptor.link-at"),
        |cx: Call<'_>,
         (this, flags, old, other, new): (This<F>, PathFlags, String, This<F>, String)| {
            attempt(cx, |host| {
                host.link(
                    (F::number(&this), &old),
                    follows(flags),
                    (F::number(&other), &new),
                )
            })
        },
    )?;
    types.func_wrap(
        &F::name("[method]descriptor.rename-at"),
        |cx: Call<'_>, (this, old, other, new): (This<F>, String, This<F>, String)| {
            attempt(cx, |host| {
                host.rename((F::number(&this), &old), (F::number(&other), &new))
            })
        },
    )?;
    types.func_wrap(
        &F::name("[method]descriptor.symlink-at"),
        |cx: Call<'_>, (this, target, path): (This<F>, String, String)| {
            attempt(cx, |host| host.symlink(F::number(&this), &target, &path))
        },
    )
}

fn listing<F: Form>(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        &F::name("[method]descriptor.read-directory"),
        |cx: Call<'_>, (this,): (This<F>,)| {
            attempt(cx, |host| {
                let listing = host.list(F::number(&this))?;
                Ok(F::own::<DirectoryEntryStream>(listing))
            })
        },
    )?;
    types.func_wrap(
        &F::name("[method]directory-entry-stream.read-directory-entry"),
        |cx: Call<'_>, (this,): (F::Borrow<DirectoryEntryStream>,)| {
            attempt(cx, |host| {
                let entry = host.next_entry(F::number(&this))?;
                Ok(entry.map(|entry| DirectoryEntry {
                    kind: entry.kind.into(),
                    name: entry.name,
                }))
            })
        },
    )
}

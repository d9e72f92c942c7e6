//! `wasi:filesystem`

use super::{
    attempt, call,
    types::{
        Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
        DirectoryEntryStream, ErrorCode, InputStream, IoError, MetadataHashValue, NewTimestamp,
        OpenFlags, OutputStream, PathFlags,
    },
};
use crate::guest::{Call, Guest};
use mc_wasi::{FileKind, Host, Opening, Stat};
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType};

const TYPES: &str = "wasi:filesystem/types@0.2.6";

type This = Resource<Descriptor>;

pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    resources(&mut types)?;
    streams(&mut types)?;
    contents(&mut types)?;
    metadata(&mut types)?;
    paths(&mut types)?;
    two_paths(&mut types)?;
    listing(&mut types)?;
    let mut preopens = linker.instance("wasi:filesystem/preopens@0.2.6")?;
    let descriptor = ResourceType::host::<Descriptor>();
    preopens.resource("descriptor", descriptor, Guest::drop_handle)?;
    preopens.func_wrap("get-directories", |cx: Call<'_>, (): ()| {
        call(cx, |host| {
            let root = This::new_own(host.open_root()?);
            Ok(vec![(root, "/".to_owned())])
        })
    })
}

fn resources(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
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
        |cx: Call<'_>, (error,): (Resource<IoError>,)| {
            call(cx, |host| {
                Ok(Some(ErrorCode::from(host.error(error.rep())?)))
            })
        },
    )
}

fn streams(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]descriptor.read-via-stream",
        |cx: Call<'_>, (this, offset): (This, u64)| {
            attempt(cx, |host| {
                let stream = host.read_via_stream(this.rep(), offset)?;
                Ok(Resource::<InputStream>::new_own(stream))
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |cx: Call<'_>, (this, offset): (This, u64)| write_stream(cx, &this, Some(offset)),
    )?;
    types.func_wrap(
        "[method]descriptor.append-via-stream",
        |cx: Call<'_>, (this,): (This,)| write_stream(cx, &this, None),
    )
}

fn write_stream(
    cx: Call<'_>,
    this: &This,
    offset: Option<u64>,
) -> super::Returned<Result<Resource<OutputStream>, ErrorCode>> {
    attempt(cx, |host| {
        let stream = host.write_via_stream(this.rep(), offset)?;
        Ok(Resource::new_own(stream))
    })
}

fn contents(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]descriptor.advise",
        |cx: Call<'_>, (this, _, _, _): (This, u64, u64, Advice)| {
            attempt(cx, |host| Ok(host.descriptor(this.rep()).map(drop)?))
        },
    )?;
    for name in ["[method]descriptor.sync", "[method]descriptor.sync-data"] {
        types.func_wrap(name, |cx: Call<'_>, (this,): (This,)| {
            attempt(cx, |host| Ok(host.descriptor(this.rep()).map(drop)?))
        })?;
    }
    types.func_wrap(
        "[method]descriptor.set-size",
        |cx: Call<'_>, (this, size): (This, u64)| {
            attempt(cx, |host| host.set_size(this.rep(), size))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.read",
        |cx: Call<'_>, (this, length, offset): (This, u64, u64)| {
            attempt(cx, |host| {
                let mut bytes = vec![0; usize::try_from(length.min(1 << 20)).unwrap_or_default()];
                let read = host.read_at(this.rep(), offset, &mut bytes)?;
                bytes.truncate(read);
                let end = offset.saturating_add(read as u64) >= host.stat(this.rep())?.size;
                Ok((bytes, end))
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write",
        |cx: Call<'_>, (this, bytes, offset): (This, Vec<u8>, u64)| {
            attempt(cx, |host| {
                host.write_at(this.rep(), offset, &bytes)?;
                Ok(bytes.len() as u64)
            })
        },
    )
}

fn metadata(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]descriptor.get-flags",
        |cx: Call<'_>, (this,): (This,)| {
            attempt(cx, |host| {
                let is_directory = host.stat(this.rep())?.kind == FileKind::Directory;
                let descriptor = host.descriptor(this.rep())?;
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
                Ok(flags)
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.get-type",
        |cx: Call<'_>, (this,): (This,)| {
            attempt(cx, |host| {
                Ok(DescriptorType::from(host.stat(this.rep())?.kind))
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.stat",
        |cx: Call<'_>, (this,): (This,)| {
            attempt(cx, |host| Ok(DescriptorStat::from(host.stat(this.rep())?)))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.set-times",
        |cx: Call<'_>, (this, accessed, modified): (This, NewTimestamp, NewTimestamp)| {
            attempt(cx, |host| {
                host.set_times(this.rep(), accessed.try_into()?, modified.try_into()?)
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.is-same-object",
        |cx: Call<'_>, (this, other): (This, This)| {
            call(cx, |host| {
                let node = |host: &Host, this: &This| host.descriptor(this.rep()).map(|d| d.node);
                Ok(node(host, &this).is_ok_and(|this| node(host, &other) == Ok(this)))
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.metadata-hash",
        |cx: Call<'_>, (this,): (This,)| attempt(cx, |host| Ok(hash(host.stat(this.rep())?))),
    )
}

/// What differs between any two files, and when a file has changed.
fn hash(stat: Stat) -> MetadataHashValue {
    MetadataHashValue {
        lower: stat.node.0,
        upper: stat.modified ^ stat.size.rotate_left(32),
    }
}

fn paths(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]descriptor.open-at",
        |cx: Call<'_>,
         (this, path_flags, path, open, flags): (
            This,
            PathFlags,
            String,
            OpenFlags,
            DescriptorFlags,
        )| {
            attempt(cx, |host| {
                let how = opening(path_flags, open, flags);
                Ok(This::new_own(host.open_at(this.rep(), &path, how)?))
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.stat-at",
        |cx: Call<'_>, (this, flags, path): (This, PathFlags, String)| {
            attempt(cx, |host| {
                let stat = host.stat_at(this.rep(), &path, follows(flags))?;
                Ok(DescriptorStat::from(stat))
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.metadata-hash-at",
        |cx: Call<'_>, (this, flags, path): (This, PathFlags, String)| {
            attempt(cx, |host| {
                Ok(hash(host.stat_at(this.rep(), &path, follows(flags))?))
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.set-times-at",
        |cx: Call<'_>,
         (this, flags, path, accessed, modified): (
            This,
            PathFlags,
            String,
            NewTimestamp,
            NewTimestamp,
        )| {
            attempt(cx, |host| {
                let (accessed, modified) = (accessed.try_into()?, modified.try_into()?);
                host.set_times_at(this.rep(), &path, follows(flags), accessed, modified)
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.create-directory-at",
        |cx: Call<'_>, (this, path): (This, String)| {
            attempt(cx, |host| host.create_directory(this.rep(), &path))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.remove-directory-at",
        |cx: Call<'_>, (this, path): (This, String)| {
            attempt(cx, |host| host.remove_directory(this.rep(), &path))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.unlink-file-at",
        |cx: Call<'_>, (this, path): (This, String)| {
            attempt(cx, |host| host.remove_file(this.rep(), &path))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.readlink-at",
        |cx: Call<'_>, (this, path): (This, String)| {
            attempt(cx, |host| host.read_link(this.rep(), &path))
        },
    )
}

fn follows(flags: PathFlags) -> bool {
    flags.contains(PathFlags::SYMLINK_FOLLOW)
}

fn opening(path: PathFlags, open: OpenFlags, flags: DescriptorFlags) -> Opening {
    let directory = flags.contains(DescriptorFlags::MUTATE_DIRECTORY);
    let write = flags.contains(DescriptorFlags::WRITE);
    Opening {
        flags: mc_wasi::OpenFlags {
            create: open.contains(OpenFlags::CREATE),
            directory: open.contains(OpenFlags::DIRECTORY),
            exclusive: open.contains(OpenFlags::EXCLUSIVE),
            truncate: open.contains(OpenFlags::TRUNCATE),
            follow: follows(path),
            write,
        },
        read: flags.contains(DescriptorFlags::READ),
        write: write || directory,
        append: false,
    }
}

fn two_paths(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]descriptor.link-at",
        |cx: Call<'_>, (this, flags, old, other, new): (This, PathFlags, String, This, String)| {
            attempt(cx, |host| {
                host.link((this.rep(), &old), follows(flags), (other.rep(), &new))
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.rename-at",
        |cx: Call<'_>, (this, old, other, new): (This, String, This, String)| {
            attempt(cx, |host| {
                host.rename((this.rep(), &old), (other.rep(), &new))
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.symlink-at",
        |cx: Call<'_>, (this, target, path): (This, String, String)| {
            attempt(cx, |host| host.symlink(this.rep(), &target, &path))
        },
    )
}

fn listing(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]descriptor.read-directory",
        |cx: Call<'_>, (this,): (This,)| {
            attempt(cx, |host| {
                let listing = host.list(this.rep())?;
                Ok(Resource::<DirectoryEntryStream>::new_own(listing))
            })
        },
    )?;
    types.func_wrap(
        "[method]directory-entry-stream.read-directory-entry",
        |cx: Call<'_>, (this,): (Resource<DirectoryEntryStream>,)| {
            attempt(cx, |host| {
                let entry = host.next_entry(this.rep())?;
                Ok(entry.map(|entry| DirectoryEntry {
                    kind: entry.kind.into(),
                    name: entry.name,
                }))
            })
        },
    )
}

//! What a node has stored, changed while it does not run: what its API gives to nobody.

use mc_content::Store;
use std::path::Path;

/// Does something with the block store of a data directory.
pub(crate) fn change(data_dir: &Path, work: impl AsyncFnOnce(&Store)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open(&data_dir.join("blocks"), Default::default()).await;
        let store = store.unwrap();
        work(&store).await;
        store.close().await;
    });
}

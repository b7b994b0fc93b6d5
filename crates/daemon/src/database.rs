//! Opens the database; a damaged one is replaced by what the folders tell.

use convoke_store::{StateHome, Store, StoreError};

use crate::{clock, damage, error_chain};

/// Left behind by a daemon that met damage while it served.
const MARK: &str = "convoke.db.damaged";

/// Opens the database of a state home.
///
/// # Errors
/// It cannot be opened, and not because of damage, or no new one can be built.
pub fn open(home: &StateHome) -> Result<Store, StoreError> {
    let marked = home.root().join(MARK).exists();
    match open_and_read(home) {
        Err(damaged @ StoreError::Corrupt { .. }) => {
            rebuild(home, &error_chain(&damaged))?;
            Store::open(home)
        }
        Ok(store) if marked => {
            store.close();
            rebuild(home, "the database was found damaged while it was in use")?;
            Store::open(home)
        }
        // One of a newer program among others: it is for that one to rebuild.
        other => other,
    }
}

/// Damage need not show before something is read.
fn open_and_read(home: &StateHome) -> Result<Store, StoreError> {
    let store = Store::open(home)?;
    let read = store
        .live_jobs()
        .and_then(|_| store.unfinalised())
        .and_then(|_| store.last_seq())
        .and_then(|_| store.blocking());
    match read {
        Ok(_) => Ok(store),
        Err(error) => {
            store.close();
            Err(error)
        }
    }
}

fn rebuild(home: &StateHome, found: &str) -> Result<(), StoreError> {
    let salvaged = match convoke_store::rebuild_database(home, clock::now()) {
        Ok(salvaged) => salvaged,
        Err(convoke_store::SalvageError::Store(error)) => return Err(error),
        Err(error @ convoke_store::SalvageError::Home(_)) => {
            return Err(StoreError::File {
                operation: "rebuild",
                path: home.database(),
                source: std::io::Error::other(error_chain(&error)),
            });
        }
    };
    let done = format!(
        "a new database was built from the folders of {} jobs, with {} sessions; {} folders could \
         not be read; keys of repeated requests are lost; the damaged one is in {}",
        salvaged.jobs,
        salvaged.sessions,
        salvaged.unreadable.len(),
        salvaged.damaged.display()
    );
    damage::report(home, found, &done);
    // Without it the next start builds it once more, which does no harm.
    let _ = std::fs::remove_file(home.root().join(MARK));
    Ok(())
}

/// Has the next daemon build the database anew.
pub fn mark_damaged(home: &StateHome) {
    if let Err(error) = std::fs::write(home.root().join(MARK), "") {
        tracing::error!(%error, "the damaged database could not be marked");
    }
}

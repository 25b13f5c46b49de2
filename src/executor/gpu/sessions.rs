//! The sessions whose buffers are kept for the next call.

use std::sync::{Arc, Mutex};

use super::{connection::Connection, lock, per_connection::PerConnection, session::Session};
use crate::{
    Result,
    graph::ValueId,
    tensor::{Input, Shape},
};

/// Largest number of sessions to keep.
const SESSIONS: usize = 3;

/// The purpose of a session.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Purpose {
    /// Shape of its input.
    pub(super) input: Shape,
    /// The input is pixels.
    pub(super) pixels: bool,
    /// The values that it reads back.
    pub(super) wanted: Vec<ValueId>,
    /// Number of kernels known to be wrong when it was made. Later sessions also avoid those found afterwards.
    pub(super) wrong: usize,
}

impl Purpose {
    /// The purpose of computing the values `wanted` of `input`.
    pub(super) fn new(input: Input<'_>, wanted: &[ValueId], wrong: usize) -> Self {
        let pixels = matches!(input, Input::Pixels(_));
        Purpose { input: input.shape(), pixels, wanted: wanted.to_vec(), wrong }
    }
}

/// Holds a kept session; empty before the first call, and after a call that failed.
pub(super) type Slot = Arc<async_lock::Mutex<Option<Arc<Session>>>>;

/// Kept sessions, the most recently used last.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<PerConnection<Vec<(Purpose, Slot)>>>);

impl Sessions {
    /// The slot of the session for `purpose`. A new one replaces the slot that has been unused for longest.
    pub(super) fn slot(&self, connection: &Connection, purpose: &Purpose) -> Result<Slot> {
        let mut sessions = lock(&self.0);
        let sessions = sessions.on(connection)?;
        let entry = match sessions.iter().position(|(made_for, _)| made_for == purpose) {
            Some(i) => sessions.remove(i),
            None => {
                if sessions.len() == SESSIONS {
                    sessions.remove(0);
                }
                (purpose.clone(), Slot::default())
            }
        };
        let slot = entry.1.clone();
        sessions.push(entry);
        Ok(slot)
    }

    /// Drops all sessions but the one in `slot`. Returns whether any were dropped; `false` on a lost device.
    pub(super) fn drop_others(&self, connection: &Connection, slot: &Slot) -> Result<bool> {
        let mut sessions = lock(&self.0);
        let sessions = sessions.on(connection)?;
        let other = |kept: &Slot| !Arc::ptr_eq(kept, slot);
        let holds = |kept: &Slot| kept.try_lock().is_none_or(|session| session.is_some());
        let any = sessions.iter().any(|(_, kept)| other(kept) && holds(kept));
        sessions.retain(|(_, kept)| !other(kept));
        Ok(any && connection.lost().is_none())
    }
}

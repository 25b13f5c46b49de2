//! A value that lives on a device, and is gone when the device is lost.

use super::connection::Connection;
use crate::Result;

/// A value and the connection that it belongs to.
#[derive(Debug, Default)]
pub(super) struct PerConnection<T> {
    number: u64,
    pub(super) held: T,
}

impl<T: Default> PerConnection<T> {
    /// The value for `connection`. A value from an older connection is dropped.
    pub(super) fn on(&mut self, connection: &Connection) -> Result<&mut T> {
        if self.number > connection.number {
            return Err(connection.lose("opened again"));
        }
        if self.number < connection.number {
            *self = PerConnection { number: connection.number, held: T::default() };
        }
        Ok(&mut self.held)
    }
}

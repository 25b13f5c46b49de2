//! What is made on a device and gone when it is lost.

use super::connection::Connection;
use crate::Result;

/// What is on the device, of one opening of it.
#[derive(Debug, Default)]
pub(super) struct PerConnection<T> {
    number: u64,
    pub(super) held: T,
}

impl<T: Default> PerConnection<T> {
    /// What is held on `connection`; of an older one nothing is left.
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

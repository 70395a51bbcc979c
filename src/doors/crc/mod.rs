//! The CRC door (contract section 2). The relay's messages are modelled on this wire, so there is
//! only a codec here: the session beside it would have nothing to remember.

pub mod wire;

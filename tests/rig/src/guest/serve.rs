//! Accepts sessions from this machine and gives each a thread.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::{GuestError, init, session, write_file};
use crate::layout::{MANAGEMENT_ADDRESS, MANAGEMENT_PORT, READY_LINE, TOKEN_FILE};
use crate::wire::{self, Kind};

/// How long a new connection may take to say what it is for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Listens on the management network for ever; says so on the console first.
pub fn serve() -> Result<(), GuestError> {
    let token_file = init::boot_words()?.state.join(TOKEN_FILE);
    let token = fs::read_to_string(&token_file).map_err(|source| GuestError::File {
        action: "read",
        path: token_file,
        source,
    })?;
    let listener = TcpListener::bind((MANAGEMENT_ADDRESS, MANAGEMENT_PORT)).map_err(|source| {
        GuestError::Listen { address: format!("{MANAGEMENT_ADDRESS}:{MANAGEMENT_PORT}"), source }
    })?;
    write_file("/dev/console", format!("{READY_LINE}\n"))?;
    for connection in listener.incoming().flatten() {
        let token = token.clone();
        thread::spawn(move || handle(&connection, &token));
    }
    Ok(())
}

fn handle(mut connection: &TcpStream, token: &str) {
    let _ = connection.set_nodelay(true);
    let _ = connection.set_read_timeout(Some(REQUEST_TIMEOUT));
    let request = match wire::read_request(&mut connection) {
        Ok(request) if request.token == token => request,
        Ok(_) => return refuse(connection, "the session does not know this rig's token"),
        Err(error) => return refuse(connection, &format!("not a session of the rig: {error}")),
    };
    let _ = connection.set_read_timeout(None);
    if let Err(error) = session::run(connection, request.action) {
        refuse(connection, &error);
    }
}

fn refuse(mut connection: &TcpStream, why: &str) {
    // The other side may be gone; there is nobody else to tell.
    let _ = wire::write_frame(&mut connection, Kind::Refused, why.as_bytes());
}

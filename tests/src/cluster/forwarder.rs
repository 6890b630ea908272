//! TCP connections passed on from one network namespace to another.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::process::Place;

/// Listens at one place and connects at another until it is dropped.
#[derive(Debug)]
pub(crate) struct Forwarder {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Passes on what connects to `listen` (port 0: a free one) to `target`, with the namespaces of the places.
    pub(crate) fn start(listen: (Place, SocketAddr), target: (Place, SocketAddr)) -> Self {
        let (ready, listening) = sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            // A socket stays in the namespace in which it was made.
            enter(listen.0);
            let listener = TcpListener::bind(listen.1).unwrap();
            enter(target.0);
            ready.send(listener.local_addr().unwrap()).unwrap();
            // The runtime has this thread alone, so that its connections are made in the target's namespace; they end with it.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = pass_on(listener, target.1) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = thread::Builder::new().name("forwarder".to_owned()).spawn(run).unwrap();
        let address = listening.recv().expect("the forwarder listens, or has said above why not");
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A panic of the thread has been printed; there is nothing to add.
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

/// Moves this thread into the network namespace of a place.
fn enter(place: Place) {
    let namespace = match place {
        // That of the first thread, which never moves.
        Place::Host => "/proc/self/ns/net".to_owned(),
        Place::Inside(target) => format!("/proc/{target}/ns/net"),
    };
    let namespace = File::open(namespace).unwrap();
    let here = File::open("/proc/thread-self/ns/net").unwrap();
    // Moving takes rights, even to where one is.
    if identity(&namespace) != identity(&here) {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }
}

fn identity(namespace: &File) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    namespace.metadata().unwrap().ino()
}

async fn pass_on(listener: TcpListener, target: SocketAddr) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            // Refused or broken: the client sees its own connection end.
            if let Ok(mut server) = TcpStream::connect(target).await {
                let _broken = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

//! The rig as seen from this machine: bring nodes up, run commands and pods on them, take them down.
//!
//! Everything blocks. Do not call it from within an asynchronous runtime.
//!
//! ```no_run
//! use xtask::rig::{PodSpec, Rig, UpOptions};
//!
//! let rig = Rig::up(&UpOptions { bare: true, ..UpOptions::default() }, &|line| eprintln!("{line}"))?;
//! let server = rig.node(1)?.run_pod(&PodSpec::new("server", &["nginx", "-g", "daemon off;"]))?;
//! let client = rig.node(2)?.run_pod(&PodSpec::new("client", &["sleep", "infinity"]))?;
//! let page = client.exec(&["curl", "-s", &format!("http://{}/", server.ip)])?;
//! assert!(page.status.success());
//! # Ok::<(), xtask::rig::RigError>(())
//! ```

mod agent;
mod boot;
mod cri;
mod error;
mod guard;
mod images;
mod kernel;
mod logs;
mod node;
mod options;
mod pod;
mod processes;
mod qemu;
mod session;
mod spec;
mod state;
mod uninstall;
mod workload;

use std::path::{Path, PathBuf};
use std::thread;

pub use agent::{Agent, Ending};
pub use error::RigError;
pub use logs::ContainerLogs;
pub use node::Node;
pub use options::{Kernel, RigName, UpOptions};
pub use pod::Pod;
pub use session::{NodeCommand, RunningCommand};
pub use spec::{ContainerSpec, MAIN_CONTAINER, Mount, PodSpec};
pub use state::{StateDirectory, repository};

use self::guard::Guard;
use self::kernel::BootFiles;
use self::session::Token;
use self::state::RigState;
use crate::layout::NodeNumber;

/// Told one line for each step of [`Rig::up`].
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);

/// A rig that is up. The process that brought it up takes it down on drop, unless [`Rig::keep`] was called.
#[derive(Debug)]
pub struct Rig {
    name: RigName,
    directory: StateDirectory,
    state: RigState,
    token: Token,
    owned: Option<Owned>,
}

/// What only the process that brought the rig up has.
#[derive(Debug)]
struct Owned {
    guard: Guard,
    emulators: Vec<boot::BootingNode>,
}

impl Rig {
    /// Boots the nodes and returns when containerd answers on all of them, and, unless `bare`, the agent was started.
    ///
    /// When this process ends in whatever way before it calls [`Rig::keep`], the rig ends, too. When a node cannot be
    /// brought up, the logs stay in the rig's state directory.
    pub fn up(options: &UpOptions, progress: Progress<'_>) -> Result<Self, RigError> {
        if NodeNumber::new(options.nodes).is_none() {
            return Err(RigError::NoNode(options.nodes));
        }
        if !options.bare {
            agent::check_built()?;
        }
        let guest_program = guest_program()?;
        let boot = BootFiles::find(options.kernel)?;
        let directory = StateDirectory::of(&options.name);
        let _claim = directory.claim(&options.name)?;
        let token = directory.token()?;
        let guard = Guard::start(&directory)?;
        let mut emulators = Vec::new();
        let booted = boot::start(options, &boot, &guest_program, &directory, &mut emulators).and_then(|()| {
            let nodes = emulators.iter().map(boot::BootingNode::state).collect();
            let state = RigState { kernel: options.kernel, bare: options.bare, nodes };
            directory.write(&state)?;
            images::write(&directory)?;
            boot::await_ready(&mut emulators, &directory, progress)?;
            Ok(state)
        });
        let state = match booted {
            Ok(state) => state,
            Err(error) => {
                end(&directory, guard, emulators);
                return Err(error);
            }
        };
        let owned = Some(Owned { guard, emulators });
        let mut rig = Self { name: options.name.clone(), directory, state, token, owned };
        if let Err(error) = rig.set_up(options, progress) {
            if let Some(owned) = rig.owned.take() {
                end(&rig.directory, owned.guard, owned.emulators);
            }
            return Err(error);
        }
        Ok(rig)
    }

    /// What is to do on booted nodes, on all of them at once.
    fn set_up(&self, options: &UpOptions, progress: Progress<'_>) -> Result<(), RigError> {
        thread::scope(|scope| {
            let threads: Vec<_> = self
                .nodes()
                .map(|node| {
                    scope.spawn(move || {
                        node.await_runtime()?;
                        progress(&format!("node {} runs containerd", node.number()));
                        if !options.bare {
                            node.agent()?.install()?;
                            progress(&format!("node {} runs the agent", node.number()));
                        }
                        Ok(())
                    })
                })
                .collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    /// A rig that another process brought up, or this one has kept. Dropping it leaves it up.
    pub fn attach(name: &RigName) -> Result<Self, RigError> {
        let directory = StateDirectory::of(name);
        let state = directory.read(name)?;
        if processes::emulators_in(directory.path()).is_empty() {
            return Err(RigError::NotUp { name: name.to_string() });
        }
        let token = directory.token()?;
        Ok(Self { name: name.clone(), directory, state, token, owned: None })
    }

    /// Lets the rig outlive this process.
    pub fn keep(&mut self) {
        if let Some(owned) = self.owned.take() {
            owned.guard.dismiss();
        }
    }

    /// Ends the rig of this name and removes its state directory; returns how many nodes there were. There need not be
    /// such a rig.
    pub fn down(name: &RigName) -> Result<usize, RigError> {
        let directory = StateDirectory::of(name);
        let ended = processes::end_emulators_in(directory.path());
        directory.remove()?;
        Ok(ended)
    }

    /// The rig's name.
    pub fn name(&self) -> &RigName {
        &self.name
    }

    /// Where its logs are.
    pub fn directory(&self) -> &StateDirectory {
        &self.directory
    }

    /// Whether it was brought up without the agent.
    pub fn is_bare(&self) -> bool {
        self.state.bare
    }

    /// The nodes' kernel series.
    pub fn kernel(&self) -> Kernel {
        self.state.kernel
    }

    /// Node 1 or 2.
    pub fn node(&self, number: u8) -> Result<Node<'_>, RigError> {
        self.nodes().find(|node| node.number() == number).ok_or(RigError::NoNode(number))
    }

    /// All nodes in the order of their numbers.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.state.nodes.iter().filter_map(|state| {
            let number = NodeNumber::new(state.number)?;
            Some(Node::new(
                self,
                session::Address { node: number, port: state.port, token: self.token.clone() },
            ))
        })
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(owned) = self.owned.take() {
            end(&self.directory, owned.guard, owned.emulators);
            let _ = self.directory.remove();
        }
    }
}

/// Ends the emulators and leaves the state directory, for its logs.
fn end(directory: &StateDirectory, guard: Guard, mut emulators: Vec<boot::BootingNode>) {
    processes::end_emulators_in(directory.path());
    emulators.iter_mut().for_each(boot::BootingNode::reap);
    guard.dismiss();
}

/// The program for the nodes: beside the running one, or one directory up when that is a test.
fn guest_program() -> Result<PathBuf, RigError> {
    let own = std::env::current_exe().map_err(RigError::file("find", "/proc/self/exe"))?;
    let directories = own.ancestors().skip(1).take(2);
    let mut candidates = directories.map(|directory| directory.join("rig-guest"));
    let expected = own.with_file_name("rig-guest");
    candidates.find(|path: &PathBuf| Path::exists(path)).ok_or(RigError::GuestNotBuilt(expected))
}

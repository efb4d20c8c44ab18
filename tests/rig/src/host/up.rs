//! Brings a rig up: its directory, its network, its nodes, and what is to run on them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use super::boot::Parts;
use super::guard::Guard;
use super::kernel::BootFiles;
use super::network::Network;
use super::options::UpOptions;
use super::state::{RigState, StateDirectory};
use super::{Owned, Progress, Rig, RigError, agent, boot, end, images};
use crate::layout::NodeNumber;

/// What is done before the nodes boot: write into the state directory what they are to find there, start programs on the
/// rig's network.
pub type Prepare<'a> = &'a dyn Fn(&StateDirectory, &Network) -> Result<(), RigError>;

impl Rig {
    /// Boots the nodes and returns when containerd answers on all of them, and, unless `bare`, the agent was started.
    ///
    /// When this process ends in whatever way before it calls [`Rig::keep`], the rig ends, too. When a node cannot be
    /// brought up, the logs stay in the rig's state directory.
    pub fn up(options: &UpOptions, progress: Progress<'_>) -> Result<Self, RigError> {
        Self::up_prepared(options, progress, &|_, _| Ok(()))
    }

    /// As [`Rig::up`], with something to be done before the nodes boot.
    pub fn up_prepared(
        options: &UpOptions,
        progress: Progress<'_>,
        prepare: Prepare<'_>,
    ) -> Result<Self, RigError> {
        if NodeNumber::new(options.nodes).is_none() {
            return Err(RigError::NoNode(options.nodes));
        }
        options.link.check(options.nodes)?;
        if !options.bare {
            agent::check_built()?;
        }
        let guest_program = guest_program()?;
        let boot = BootFiles::find(options)?;
        let directory = StateDirectory::of(&options.name);
        let _claim = directory.claim(&options.name)?;
        let token = directory.token()?;
        let guard = Guard::start(&directory)?;
        let mut emulators = Vec::new();
        let booted = Network::make(options.link, options.families).and_then(|network| {
            prepare(&directory, &network)?;
            let parts =
                Parts { boot: &boot, guest_program: &guest_program, state: &directory, network: &network };
            boot::start(options, &parts, &mut emulators)?;
            let nodes = emulators.iter().map(boot::BootingNode::state).collect();
            let state = RigState { options: options.clone(), nodes };
            directory.write(&state)?;
            images::write(&directory, &options.images)?;
            boot::await_ready(&mut emulators, &directory, progress)?;
            Ok((state, network))
        });
        let (state, network) = match booted {
            Ok((state, network)) => (state, Arc::new(network)),
            Err(error) => {
                end(&directory, guard, emulators);
                return Err(error);
            }
        };
        let owned = Some(Owned { guard, emulators });
        let mut rig = Self { name: options.name.clone(), directory, state, token, network, owned };
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
}

/// The program for the nodes: beside the running one, or one directory up when that is a test.
pub(super) fn guest_program() -> Result<PathBuf, RigError> {
    let own = std::env::current_exe().map_err(RigError::file("find", "/proc/self/exe"))?;
    let directories = own.ancestors().skip(1).take(2);
    let mut candidates = directories.map(|directory| directory.join("rig-guest"));
    let expected = own.with_file_name("rig-guest");
    candidates.find(|path: &PathBuf| Path::exists(path)).ok_or(RigError::GuestNotBuilt(expected))
}

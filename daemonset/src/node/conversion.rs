//! How TCP sockets become SMC sockets on this node, and what their SYNs offer it by.

use std::path::Path;

use smc_host::conversion::TCP2SMC;
use smc_host::sysctl::Sysctl;
use smc_host::{conversion, kernel, offer, with_causes};
use smc_model::{Conversion, Reason, SynOption};

use super::{LastLook, Preparation};
use crate::node::bpf::{BpfError, ConversionProgram, Pinned, smc_protocol};

impl Preparation {
    pub(super) fn bpf(&mut self, pin_dir: &Path, smc_loaded: bool, last: &mut LastLook) -> Conversion {
        if let Some((pinned, conversion)) = last.conversion.take_if(|_| smc_loaded)
            && Pinned::look(pin_dir).is_ok_and(|now| now == Some(pinned))
        {
            return last.conversion.insert((pinned, conversion)).1.clone();
        }
        let none = |why: &str| Conversion::None { why: why.to_owned() };
        if !smc_loaded {
            return none("SMC is not available");
        }
        let Some(protocol) = smc_protocol() else {
            return none("it has neither net.smc.tcp2smc nor IPPROTO_SMC sockets");
        };
        match ConversionProgram::ensure(pin_dir, protocol) {
            Ok(ensured) => {
                if !ensured.adopted {
                    let what = if ensured.replaced { "replaced" } else { "attached" };
                    self.notes.push(format!(
                        "{what} the BPF program that converts TCP sockets (IPPROTO_SMC {protocol})"
                    ));
                    self.restored.push(Reason::NoConversion {
                        kernel: kernel::release().unwrap_or_default(),
                        why: "the BPF program was not in place".to_owned(),
                    });
                }
                let conversion = Conversion::Bpf { map: ensured.map_path, protocol };
                let pinned = Pinned::look(pin_dir).ok().flatten();
                last.conversion = pinned.map(|pinned| (pinned, conversion.clone()));
                conversion
            }
            Err(error) => {
                self.problems.push(format!("{}; {}", with_causes(&error), BpfError::remedy(&error)));
                none(&with_causes(&error))
            }
        }
    }

    /// Looked at once for each way of converting: it is the kernel's.
    ///
    /// # Errors
    /// Why it could not be seen, in words.
    pub(super) fn offer(
        &mut self,
        conversion: &Conversion,
        proc: &Path,
        last: &mut LastLook,
    ) -> Result<Option<SynOption>, String> {
        if let Some((known, option)) = &last.offer
            && known == conversion
        {
            return Ok(option.clone());
        }
        let seen = match conversion {
            Conversion::None { .. } => return Ok(None),
            Conversion::Tcp2smc => {
                let sysctl = Sysctl::at(proc.join("sys"));
                offer::of_this_kernel(|netns| netns.run(|| sysctl.set(TCP2SMC, "1").map(drop))?)
            }
            Conversion::Bpf { map, .. } => {
                let mut added = None;
                let seen = offer::of_this_kernel(|netns| {
                    let cookie = netns.connect()?.cookie;
                    added = cookie;
                    cookie.map_or(Ok(()), |cookie| conversion::add_to_map(map, cookie))
                });
                if let Some(cookie) = added {
                    self.check_host(
                        "take a namespace out of the map",
                        conversion::remove_from_map(map, cookie),
                    );
                }
                seen
            }
        };
        let option = seen.map_err(|error| {
            let needs = if error.errno() == Some(nix::errno::Errno::EPERM as i32) {
                "; it takes CAP_NET_ADMIN"
            } else {
                ""
            };
            format!("cannot see what a SYN of this kernel offers SMC by: {}{needs}", error.with_cause())
        })?;
        // None may be for the moment: a throw-away namespace that was not converted offers none either.
        last.offer = option.clone().map(|option| (conversion.clone(), Some(option)));
        Ok(option)
    }
}

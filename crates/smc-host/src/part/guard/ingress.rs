//! Our BPF filter at the ingress of a link, in the namespace that a connection was opened in.
//!
//! By clsact, which 5.10 has too. To attach by TCX waits for a grace period under RTNL (kernel/bpf/tcx.c): on two CPUs (6.18) it took
//! 9.6 ms instead of 0.5, and with eight ADDs at once 45 ms each instead of 1.6. Only on a single CPU, where nobody is waited for, it took
//! half as long.

use netlink_packet_route::tc::{TcHandle, TcHeader};
use smc_abi::Request;
use smc_abi::attribute::{AttributeWriter, attributes};
use smc_abi::frame::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL};

use crate::netlink::Connection;
use crate::route::{request, writer};
use crate::{Cause, HostError, error};

// uapi/linux/rtnetlink.h, uapi/linux/pkt_cls.h.
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_ID: u16 = 11;
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
const ETH_P_ALL: u16 = 3;
const HEADER: usize = 20;

/// Shown by `tc filter show dev eth0 ingress` to whoever wonders.
const NAME: &str = "kube-smc";
/// Before all others; those that are there may stay, since the program hands on what it lets pass.
const PRIORITY: u32 = 1;
/// Our place within the priority: whoever asks the kernel for one gets 1, 2, 3.
const HANDLE: u32 = 0x0053_4d43;

/// Attaches a program by its descriptor; one of ours that is there is replaced, with no packet in between that none sees.
pub(crate) fn attach(route: &mut Connection, link: u32, program: u32) -> Result<(), HostError> {
    let attempt = format_args!("attach the same-node guard to the interface {link}");
    let header = header(link, TcHandle { major: u16::MAX, minor: 0 }, TcHandle::CLSACT, 0);
    let queue = writer(&header).string(TCA_KIND, "clsact");
    let queue: Request = request(libc::RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, queue);
    let options = AttributeWriter::default()
        .u32(TCA_BPF_FD, program)
        .string(TCA_BPF_NAME, NAME)
        .u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
    let body = writer(&filter(link)).string(TCA_KIND, "bpf").nested(TCA_OPTIONS, &options);
    let filter = request(libc::RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE, body);
    match route.both(&attempt, &queue, &filter) {
        // A queue of kind ingress has the same place, and takes filters as well.
        Err(error) if error.errno() == Some(libc::EEXIST) => route.request(&attempt, &filter).map(drop),
        attached => attached,
    }
}

/// Takes our program off; fine when none is there. The queue stays: others may have filters in it.
pub(crate) fn detach(route: &mut Connection, link: u32) -> Result<(), HostError> {
    let attempt = format_args!("take the same-node guard off the interface {link}");
    let body = writer(&filter(link)).string(TCA_KIND, "bpf");
    let gone = route.request(&attempt, &request(libc::RTM_DELTFILTER, NLM_F_ACK, body)).map(drop);
    error::tolerate(gone, &ABSENT)
}

/// The kernel's number of our attached program; `None` where there is none.
pub(crate) fn attached(route: &mut Connection, link: u32) -> Result<Option<u32>, HostError> {
    let attempt = format_args!("look for the same-node guard on the interface {link}");
    let asked: Request = request(libc::RTM_GETTFILTER, 0, writer(&filter(link)).string(TCA_KIND, "bpf"));
    match route.request(&attempt, &asked) {
        Err(error) if error.errno().is_some_and(|errno| ABSENT.contains(&errno)) => Ok(None),
        answers => {
            let answers = answers?;
            let program = answers.first().map(|answer| program(&answer.body)).transpose();
            Ok(program.map_err(HostError::at(attempt))?.flatten())
        }
    }
}

/// No such filter; no such queue or chain; no such link (net/sched/cls_api.c, `tc_get_tfilter` and `__tcf_qdisc_find`).
const ABSENT: [i32; 3] = [libc::ENOENT, libc::EINVAL, libc::ENODEV];

fn program(body: &[u8]) -> Result<Option<u32>, Cause> {
    for attribute in attributes(body.get(HEADER..).unwrap_or_default()) {
        let attribute = attribute?;
        if attribute.kind == TCA_OPTIONS {
            for option in attribute.nested() {
                let option = option?;
                if option.kind == TCA_BPF_ID {
                    return Ok(Some(option.u32("TCA_BPF_ID")?));
                }
            }
        }
    }
    Ok(None)
}

fn filter(link: u32) -> TcHeader {
    let ingress = TcHandle { major: u16::MAX, minor: TcHandle::MIN_INGRESS };
    let info = PRIORITY << 16 | u32::from(ETH_P_ALL.to_be());
    header(link, TcHandle::from(HANDLE), ingress, info)
}

fn header(link: u32, handle: TcHandle, parent: TcHandle, info: u32) -> TcHeader {
    TcHeader { index: link.cast_signed(), handle, parent, info, ..TcHeader::default() }
}

use super::*;

fn arguments(number: u8, nodes: u8) -> Vec<String> {
    arguments_with(number, nodes, Link::Socket)
}

fn arguments_with(number: u8, nodes: u8, link: Link) -> Vec<String> {
    let name = "test".parse().unwrap();
    arguments_of(number, &UpOptions { name, nodes, link, ..UpOptions::default() })
}

fn arguments_of(number: u8, options: &UpOptions) -> Vec<String> {
    let boot = BootFiles {
        kernel: "/k/vmlinuz".into(),
        initramfs: "/k/initramfs".into(),
        modules: "/k/modules".into(),
        emulator: "/q/qemu-system-x86_64".into(),
        tcp2smc: None,
    };
    let plan = NodePlan {
        options,
        node: NodeNumber::new(number).unwrap(),
        boot: &boot,
        guest_program: Path::new("/g/rig-guest"),
        state: &StateDirectory::of(&options.name),
    };
    let arguments = plan.arguments().unwrap();
    arguments.into_iter().map(|argument| argument.into_string().unwrap()).collect()
}

#[test]
fn the_firmware_is_looked_for_beside_the_emulator() {
    let arguments = arguments(1, 1);
    let directories: Vec<_> =
        arguments.windows(2).filter(|pair| pair[0] == "-L").map(|pair| pair[1].as_str()).collect();
    assert_eq!(directories, ["/q/../share/qemu", "/q/../share/seabios"]);
}

#[test]
fn nothing_of_a_node_is_reachable_but_by_loopback_and_its_link() {
    for (link, expected) in [(Link::Socket, "addr.type=unix"), (Link::Bridge, "ifname=node1,script=no")] {
        let arguments = arguments_with(1, 2, link);
        let networks: Vec<_> = arguments.iter().filter(|argument| argument.contains("id=")).collect();
        assert!(networks.iter().any(|value| value.contains("hostfwd=tcp:127.0.0.1:7001-")));
        assert!(networks.iter().any(|value| value.contains("restrict=on")));
        assert!(networks.iter().any(|value| value.contains(expected)), "{networks:?}");
    }
}

#[test]
fn node_one_listens_and_node_two_joins() {
    assert!(arguments(1, 2).iter().any(|value| value.contains("server=on")));
    assert!(arguments(2, 2).iter().any(|value| value.contains("server=off")));
    assert!(!arguments(1, 1).iter().any(|value| value.contains("stream")));
}

#[test]
fn a_nanosecond_is_an_instruction_only_where_that_is_wanted() {
    let counting = UpOptions { count_instructions: true, ..UpOptions::default() };
    assert!(arguments_of(1, &counting).iter().any(|value| value == "shift=0"));
    assert!(!arguments(1, 2).iter().any(|value| value == "-icount"));
}

#[test]
fn everything_of_this_machine_is_shared_read_only() {
    let arguments = arguments(1, 1);
    let shared: Vec<_> = arguments.iter().filter(|value| value.starts_with("local,")).collect();
    assert_eq!(shared.len(), 2);
    assert!(shared.iter().all(|value| value.contains("readonly=on")));
}

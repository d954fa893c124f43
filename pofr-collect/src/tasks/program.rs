//! The program that the kernel runs for each task: it writes down whose the task is and what it ran.
//!
//! It is put together here of a few instructions (Documentation/bpf/standardization/instruction-set.rst) rather than by a compiler,
//! since all that differs from kernel to kernel is where a dozen fields stand.

use super::btf::Btf;

/// Bytes that are written of each task: its process, the depth of our own namespace, how often it got a CPU, and for how long, ns.
pub(super) const RECORD: usize = 24;

/// `bpf_seq_write` and `bpf_get_current_task_btf` of `enum bpf_func_id` in include/uapi/linux/bpf.h.
const SEQ_WRITE: i32 = 127;
const CURRENT_TASK: i32 = 158;
/// `PIDTYPE_TGID` in include/linux/pid_types.h: the second of the pointers in `signal_struct.pids`.
const TGID_POINTER: i16 = 8;
/// `struct bpf_iter__task`: the iteration, then the task; the iteration's first field is the file that is read.
const META: i16 = 0;
const TASK: i16 = 8;
const SEQ: i16 = 0;

/// Where the fields stand that are needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pid: i16,
    tgid: i16,
    signal: i16,
    thread_pid: i16,
    runs: i16,
    runtime: i16,
    exited_runtime: i16,
    pids: i16,
    level: i16,
    numbers: i16,
}

impl Fields {
    pub(super) fn of(btf: &Btf) -> Result<Self, String> {
        Ok(Self {
            pid: btf.offset("task_struct", &["pid"])?,
            tgid: btf.offset("task_struct", &["tgid"])?,
            signal: btf.offset("task_struct", &["signal"])?,
            thread_pid: btf.offset("task_struct", &["thread_pid"])?,
            runs: btf.offset("task_struct", &["sched_info", "pcount"])?,
            runtime: btf.offset("task_struct", &["se", "sum_exec_runtime"])?,
            exited_runtime: btf.offset("signal_struct", &["sum_sched_runtime"])?,
            pids: btf.offset("signal_struct", &["pids"])?,
            level: btf.offset("pid", &["level"])?,
            numbers: btf.offset("pid", &["numbers"])?,
        })
    }
}

/// A register.
#[derive(Clone, Copy)]
struct R(u8);

/// The stack's end.
const STACK: R = R(10);

/// Puts the program together for a pid namespace `level` deep: a process's number there is what is written. `None` where there is no
/// such depth. Each record is made at the end of the stack.
pub(super) fn program(fields: &Fields, level: u16) -> Option<Vec<u64>> {
    // `struct upid` has the number first, and 16 bytes.
    let number = i16::try_from(level).ok()?.checked_mul(16)?.checked_add(fields.numbers)?;
    let [context, task, seq, signal] = [R(6), R(7), R(8), R(9)];
    let record = i16::try_from(RECORD).ok()?;
    let body = [
        load64(seq, context, META),
        load64(seq, seq, SEQ),
        load64(signal, task, fields.signal),
        // The process's number.
        load64(R(1), signal, fields.pids + TGID_POINTER),
        load32(R(1), R(1), number),
        store32(STACK, -record, R(1)),
        // How often it ran, and for how long; with the first task of a process goes what its exited ones ran.
        load64(R(1), task, fields.runs),
        store64(STACK, 8 - record, R(1)),
        load64(R(2), task, fields.runtime),
        load32(R(3), task, fields.pid),
        load32(R(4), task, fields.tgid),
        skip_unless_equal(R(3), R(4), 2),
        load64(R(4), signal, fields.exited_runtime),
        add(R(2), R(4)),
        store64(STACK, 16 - record, R(2)),
        // How deep the namespace of whoever reads is.
        call(CURRENT_TASK),
        load64(R(1), R(0), fields.thread_pid),
        load32(R(1), R(1), fields.level),
        store32(STACK, 4 - record, R(1)),
        // Out with it.
        copy(R(1), seq),
        copy(R(2), STACK),
        add_number(R(2), -i32::from(record)),
        set(R(3), i32::from(record)),
        call(SEQ_WRITE),
    ];
    // There is no task when the iteration ends.
    let skip_all = i16::try_from(body.len()).ok()?;
    let begin = [copy(context, R(1)), load64(task, context, TASK), skip_if_zero(task, skip_all)];
    Some(begin.into_iter().chain(body).chain([set(R(0), 0), exit()]).collect())
}

/// `struct bpf_insn`: what to do, the registers, an offset and a number.
fn instruction(code: u8, to: R, from: R, offset: i16, number: i32) -> u64 {
    let ([low, high], [a, b, c, d]) = (offset.to_ne_bytes(), number.to_ne_bytes());
    // Two fields of four bits, which a compiler puts into a byte in the machine's order of bytes.
    let registers = if cfg!(target_endian = "little") { from.0 << 4 | to.0 } else { to.0 << 4 | from.0 };
    u64::from_ne_bytes([code, registers, low, high, a, b, c, d])
}

/// `BPF_LDX | BPF_MEM | BPF_DW`.
fn load64(to: R, from: R, offset: i16) -> u64 {
    instruction(0x79, to, from, offset, 0)
}

/// `BPF_LDX | BPF_MEM | BPF_W`.
fn load32(to: R, from: R, offset: i16) -> u64 {
    instruction(0x61, to, from, offset, 0)
}

/// `BPF_STX | BPF_MEM | BPF_DW`.
fn store64(to: R, offset: i16, from: R) -> u64 {
    instruction(0x7b, to, from, offset, 0)
}

/// `BPF_STX | BPF_MEM | BPF_W`.
fn store32(to: R, offset: i16, from: R) -> u64 {
    instruction(0x63, to, from, offset, 0)
}

/// `BPF_ALU64 | BPF_MOV | BPF_X`.
fn copy(to: R, from: R) -> u64 {
    instruction(0xbf, to, from, 0, 0)
}

/// `BPF_ALU64 | BPF_MOV | BPF_K`.
fn set(to: R, number: i32) -> u64 {
    instruction(0xb7, to, R(0), 0, number)
}

/// `BPF_ALU64 | BPF_ADD | BPF_X`.
fn add(to: R, from: R) -> u64 {
    instruction(0x0f, to, from, 0, 0)
}

/// `BPF_ALU64 | BPF_ADD | BPF_K`.
fn add_number(to: R, number: i32) -> u64 {
    instruction(0x07, to, R(0), 0, number)
}

/// `BPF_JMP | BPF_JNE | BPF_X`.
fn skip_unless_equal(one: R, other: R, count: i16) -> u64 {
    instruction(0x5d, one, other, count, 0)
}

/// `BPF_JMP | BPF_JEQ | BPF_K`.
fn skip_if_zero(one: R, count: i16) -> u64 {
    instruction(0x15, one, R(0), count, 0)
}

/// `BPF_JMP | BPF_CALL`.
fn call(function: i32) -> u64 {
    instruction(0x85, R(0), R(0), 0, function)
}

/// `BPF_JMP | BPF_EXIT`.
fn exit() -> u64 {
    instruction(0x95, R(0), R(0), 0, 0)
}

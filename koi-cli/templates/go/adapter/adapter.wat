;; Go's library knows WASI 0.1, components know WASI 0.2. This stands between the two: output, clocks, sleep and random numbers
;; reach the node, everything else answers "no such thing".
;;
;; The adapter that comes with wasmtime offers all of WASI, but takes memory of its own by growing Go's. Go's heap believes that
;; all memory behind its end is its own, and would write over it (seen with Go 1.27). This one needs no memory: its 16 bytes lie
;; in the first 12 KiB, which Go's linker leaves empty.
(module
  (import "env" "memory" (memory 0))
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $get_stdout (result i32)))
  (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $get_stderr (result i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop_stream (param i32)))
  (import "wasi:clocks/wall-clock@0.2.0" "now" (func $wall_now (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $monotonic_now (result i64)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $after (param i64) (result i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/poll@0.2.0" "[resource-drop]pollable" (func $drop_pollable (param i32)))
  (import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))

  (global $scratch i32 (i32.const 4096))
  ;; Error numbers of WASI 0.1.
  (global $badf i32 (i32.const 8))
  (global $inval i32 (i32.const 28))
  (global $io i32 (i32.const 29))
  (global $nosys i32 (i32.const 52))

  ;; Standard output and error. A stream takes 4096 bytes at a time.
  (func (export "fd_write") (param $fd i32) (param $buffers i32) (param $count i32) (param $written i32) (result i32)
    (local $stream i32) (local $from i32) (local $left i32) (local $part i32) (local $total i32) (local $result i32)
    (if (i32.gt_u (i32.sub (local.get $fd) (i32.const 1)) (i32.const 1)) (then (return (global.get $badf))))
    (if (i32.eq (local.get $fd) (i32.const 1))
      (then (local.set $stream (call $get_stdout)))
      (else (local.set $stream (call $get_stderr))))
    (block $end
      (loop $next_buffer
        (br_if $end (i32.eqz (local.get $count)))
        (local.set $from (i32.load (local.get $buffers)))
        (local.set $left (i32.load offset=4 (local.get $buffers)))
        (block $buffer_end
          (loop $next_part
            (br_if $buffer_end (i32.eqz (local.get $left)))
            (local.set $part
              (select (local.get $left) (i32.const 4096) (i32.lt_u (local.get $left) (i32.const 4096))))
            (call $write (local.get $stream) (local.get $from) (local.get $part) (global.get $scratch))
            (if (i32.load8_u (global.get $scratch))
              (then (local.set $result (global.get $io)) (br $end)))
            (local.set $from (i32.add (local.get $from) (local.get $part)))
            (local.set $left (i32.sub (local.get $left) (local.get $part)))
            (local.set $total (i32.add (local.get $total) (local.get $part)))
            (br $next_part)))
        (local.set $buffers (i32.add (local.get $buffers) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next_buffer)))
    (call $drop_stream (local.get $stream))
    (i32.store (local.get $written) (local.get $total))
    (local.get $result))

  ;; 0: the time of day, 1: a clock that only goes forward; in nanoseconds.
  (func (export "clock_time_get") (param $clock i32) (param i64) (param $time i32) (result i32)
    (if (i32.gt_u (local.get $clock) (i32.const 1)) (then (return (global.get $inval))))
    (if (local.get $clock) (then (i64.store (local.get $time) (call $monotonic_now)) (return (i32.const 0))))
    (call $wall_now (global.get $scratch))
    (i64.store (local.get $time)
      (i64.add
        (i64.mul (i64.load (global.get $scratch)) (i64.const 1000000000))
        (i64.load32_u offset=8 (global.get $scratch))))
    (i32.const 0))

  (func (export "random_get") (param $to i32) (param $left i32) (result i32)
    (local $bits i64) (local $bytes i32)
    (block $end
      (loop $next
        (br_if $end (i32.eqz (local.get $left)))
        (if (i32.eqz (local.get $bytes))
          (then (local.set $bits (call $random)) (local.set $bytes (i32.const 8))))
        (i64.store8 (local.get $to) (local.get $bits))
        (local.set $bits (i64.shr_u (local.get $bits) (i64.const 8)))
        (local.set $bytes (i32.sub (local.get $bytes) (i32.const 1)))
        (local.set $to (i32.add (local.get $to) (i32.const 1)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; Sleeps: Go asks for one subscription (48 bytes) of kind 0, a time from now. Waiting for files is not to be had.
  (func (export "poll_oneoff") (param $asked i32) (param $events i32) (param $count i32) (param $happened i32) (result i32)
    (local $timer i32)
    (block $found
      (loop $next
        (if (i32.eqz (local.get $count)) (then (return (global.get $nosys))))
        (br_if $found (i32.eqz (i32.load8_u offset=8 (local.get $asked))))
        (local.set $asked (i32.add (local.get $asked) (i32.const 48)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (if (i32.load16_u offset=40 (local.get $asked)) (then (return (global.get $nosys))))
    (local.set $timer (call $after (i64.load offset=24 (local.get $asked))))
    (call $block (local.get $timer))
    (call $drop_pollable (local.get $timer))
    (i64.store (local.get $events) (i64.load (local.get $asked)))
    (i64.store offset=8 (local.get $events) (i64.const 0))
    (i32.store (local.get $happened) (i32.const 1))
    (i32.const 0))

  ;; Go ends like this after a panic, when it has said why.
  (func (export "proc_exit") (param i32) (unreachable))
  (func (export "sched_yield") (result i32) (i32.const 0))

  ;; No arguments, no environment: no entries, and 0 bytes of them.
  (func (export "args_sizes_get") (export "environ_sizes_get") (param $count i32) (param $size i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $size) (i32.const 0))
    (i32.const 0))
  (func (export "args_get") (export "environ_get") (param i32 i32) (result i32) (i32.const 0))

  ;; No files; the end of the list of directories comes at once.
  (func (export "fd_close") (param i32) (result i32) (i32.const 0))
  (func (export "fd_prestat_get") (export "fd_fdstat_get") (export "fd_filestat_get") (export "fd_fdstat_set_flags")
    (param i32 i32) (result i32) (global.get $badf))
  (func (export "fd_read") (param i32 i32 i32 i32) (result i32) (global.get $badf))

  (func (export "fd_datasync") (export "fd_sync") (export "proc_raise") (param i32) (result i32) (global.get $nosys))
  (func (export "clock_res_get") (export "fd_renumber") (export "fd_tell") (export "sock_shutdown")
    (param i32 i32) (result i32) (global.get $nosys))
  (func (export "fd_prestat_dir_name") (export "path_create_directory") (export "path_remove_directory")
    (export "path_unlink_file") (export "sock_accept") (param i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "path_filestat_get") (export "path_symlink") (export "sock_send")
    (param i32 i32 i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "path_readlink") (export "path_rename") (export "sock_recv")
    (param i32 i32 i32 i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (global.get $nosys))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (global.get $nosys))
  (func (export "fd_pread") (export "fd_pwrite") (export "fd_readdir")
    (param i32 i32 i32 i64 i32) (result i32) (global.get $nosys))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (global.get $nosys))
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) (global.get $nosys))
  (func (export "fd_filestat_set_times") (param i32 i64 i64 i32) (result i32) (global.get $nosys))
  (func (export "fd_advise") (param i32 i64 i64 i32) (result i32) (global.get $nosys))
  (func (export "fd_allocate") (export "fd_fdstat_set_rights") (param i32 i64 i64) (result i32) (global.get $nosys)))

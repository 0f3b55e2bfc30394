use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

use super::*;
use crate::backend::wasm::engine::engine;

/// A function of a good many bytes.
fn padding() -> String {
    format!("(func {})", "(drop (i64.const 0x7777777777777777))".repeat(LARGE_BYTES / 10))
}

/// A small module with a memory, a table and a global, a large one that uses them, and a small one behind it.
fn text() -> String {
    format!(
        r#"(component
          (core module $small
            (memory (export "memory") 1 7)
            (table (export "table") 2 funcref)
            (global (export "base") (mut i32) (i32.const 40)))
          (core module $large
            (type $number (func (result i32)))
            (import "env" "memory" (memory 1))
            (import "env" "table" (table 1 funcref))
            (import "env" "base" (global $base (mut i32)))
            {}
            (func (export "answer") (type $number)
              (i32.store (i32.const 8) (i32.const 2))
              (i32.add (global.get $base) (i32.load (i32.const 8)))))
          (core module $behind
            (import "large" "answer" (func $answer (result i32)))
            (func (export "answer") (result i32) (call $answer)))
          (core instance $env (instantiate $small))
          (core instance $inside (instantiate $large (with "env" (instance $env))))
          (core instance $outside (instantiate $behind (with "large" (instance $inside))))
          (func (export "answer") (result u32) (canon lift (core func $outside "answer"))))"#,
        padding()
    )
}

fn component() -> Vec<u8> {
    wat::parse_str(text()).unwrap()
}

fn answer(engine: &Engine, component: &Component, linker: &Linker<()>) -> u32 {
    let mut store = Store::new(engine, ());
    store.set_epoch_deadline(1);
    let instance = linker.instantiate(&mut store, component).unwrap();
    let answer = instance.get_typed_func::<(), (u32,)>(&mut store, "answer").unwrap();
    answer.call(&mut store, ()).unwrap().0
}

/// The same, two components further in.
fn nested() -> Vec<u8> {
    let around = |inside: &str| {
        format!(
            r#"(component {inside}
              (instance $inside (instantiate $inside))
              (export "answer" (func $inside "answer")))"#
        )
    };
    let inside = text().replacen("(component", "(component $inside", 1);
    let further = around(&inside).replacen("(component", "(component $inside", 1);
    wat::parse_str(around(&further)).unwrap()
}

#[test]
fn the_two_parts_together_are_the_component() {
    are_the_component(&component());
}

fn are_the_component(whole: &[u8]) {
    let parts = split(whole).unwrap();
    assert!(parts.rest.len() < LARGE_BYTES / 10, "{}", parts.rest.len());
    let engine = engine().unwrap();
    let runtime = Component::new(&engine, &parts.runtime).unwrap();
    let mut linker = Linker::new(&engine);
    let mut store = Store::new(&engine, ());
    let modules = Linker::new(&engine).instantiate(&mut store, &runtime).unwrap();
    let module = modules.get_module(&mut store, module_name(0).as_str()).unwrap();
    linker.root().module(&module_name(0), &module).unwrap();
    let rest = Component::new(&engine, &parts.rest).unwrap();
    assert_eq!(answer(&engine, &rest, &linker), 42);
    let whole = Component::new(&engine, whole).unwrap();
    assert_eq!(answer(&engine, &whole, &Linker::new(&engine)), 42);
}

#[test]
fn a_component_in_others_is_parted_too() {
    are_the_component(&nested());
}

#[test]
fn the_runtime_stays_the_same_when_something_else_changes() {
    let before = component();
    let text = wat::parse_str("(component (core module (func (export \"another\"))))").unwrap();
    let added = &text[COMPONENT_HEADER.len()..];
    let after = [&before[..], added].concat();
    let (before, after) = (split(&before).unwrap(), split(&after).unwrap());
    assert_eq!(before.runtime, after.runtime);
    assert_ne!(before.rest, after.rest);
}

#[test]
fn what_cannot_be_parted_is_left_as_it_is() {
    let with_memory =
        |memory: &str| format!("(component (core module {} (memory (export \"m\") {memory})))", padding());
    let with_data = format!(
        "(component (core module {} (memory 1) (data (i32.const 0) \"{}\")))",
        padding(),
        "x".repeat(2000)
    );
    let small = "(component (core module (func (export \"f\"))))".to_owned();
    assert!(split(&wat::parse_str(with_memory("1")).unwrap()).is_some());
    for text in [with_memory("i64 1"), with_memory("1 2 shared"), small, with_data, "(component)".to_owned()]
    {
        assert_eq!(split(&wat::parse_str(&text).unwrap()), None, "{}", &text[text.len() - 50..]);
    }
}

#[test]
fn whatever_comes_is_parted_or_left() {
    let whole = component();
    for length in (0..whole.len()).step_by(997) {
        // It answers.
        let _ = split(&whole[..length]);
    }
    for place in (0..whole.len().min(4000)).chain(whole.len() - 1000..whole.len()) {
        let mut changed = whole.clone();
        changed[place] ^= 0xff;
        let _ = split(&changed);
    }
}

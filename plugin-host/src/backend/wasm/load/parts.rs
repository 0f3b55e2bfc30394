//! A component in two: what it has of its language's runtime, and the rest.
//!
//! A component with an interpreter in it is mostly that interpreter, byte for byte the same from build to build. The rest imports from
//! outside what it had inside, so each of the two is compiled when it has changed. This is for authors, who build again and again: where
//! code is not wanted soon a component is compiled as it is.

use wasmparser::{BinaryReaderError, Parser, Payload, TypeRef, ValType};

use crate::backend::wasm::load::sections::{COMPONENT, COMPONENT_HEADER, CORE_MODULE, sections};

/// Other sections of a component.
const CORE_TYPE: u8 = 3;
const ALIAS: u8 = 6;
const IMPORT: u8 = 10;
const EXPORT: u8 = 11;

/// The sort of a core module, where something is imported or exported.
const SORT_CORE_MODULE: [u8; 2] = [0x00, 0x11];

/// Code of a module that is large enough to be compiled by itself.
const LARGE_BYTES: usize = 128 * 1024;

/// What the tools for languages with an interpreter make has run once already, and the memory that came of it is a module of its own. A
/// module with more data than this is an author's program, which changes with each build.
const DATA_BYTES: usize = 1024;

/// How deep components may lie in one another to be parted.
const DEPTH: u32 = 8;

/// A component in two. Both are components.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// All but the large modules, which it imports by [their names](module_name).
    pub(crate) rest: Vec<u8>,
    /// Exports the large modules by their names, and has nothing else.
    pub(crate) runtime: Vec<u8>,
}

/// What the rest calls a module of the runtime.
fn module_name(number: u32) -> String {
    format!("koi-runtime-m{number}")
}

/// Parts a component. None: it has no large module, or one that cannot be told in two parts, or is none.
pub(crate) fn split(component: &[u8]) -> Option<Parts> {
    let mut lifted = Lifted::default();
    let sections = sections(component, COMPONENT_HEADER)?;
    let has_modules = sections.iter().any(|section| section.id == CORE_MODULE);
    // Types that are there already would have other numbers.
    if sections.iter().any(|section| section.id == CORE_TYPE) {
        return None;
    }
    let mut rest = Vec::new();
    for section in sections {
        match section.id {
            CORE_MODULE if lifted.take(section.content)? => rest.extend(lifted.import_of_last()),
            // Where there are modules outside, those that are imported for the inside would change their numbers.
            COMPONENT if !has_modules => {
                let inside = lifted.out_of(section.content, 1)?;
                push_section(&mut rest, COMPONENT, &inside);
            }
            _ => rest.extend_from_slice(section.whole),
        }
    }
    if lifted.number == 0 {
        return None;
    }
    let imports = if has_modules { Vec::new() } else { lifted.imports };
    let rest = [&COMPONENT_HEADER[..], &imports, &rest].concat();
    let mut runtime = [&COMPONENT_HEADER[..], &lifted.modules].concat();
    push_section(&mut runtime, EXPORT, &exports(lifted.number));
    Some(Parts { rest, runtime })
}

/// The large modules of a component.
#[derive(Default)]
struct Lifted {
    number: u32,
    /// A section each.
    modules: Vec<u8>,
    /// Two sections each, which import it.
    imports: Vec<u8>,
    /// How long the imports were before the last.
    before: usize,
}

impl Lifted {
    /// Takes a module if it is large. None: it is, and cannot be imported.
    fn take(&mut self, module: &[u8]) -> Option<bool> {
        if module.len() < LARGE_BYTES {
            return Some(false);
        }
        // What cannot be read the compiler refuses.
        let Some(outside) = Outside::of_large(module).ok()? else { return Some(false) };
        self.before = self.imports.len();
        push_section(&mut self.imports, CORE_TYPE, &outside.module_type()?);
        push_section(&mut self.imports, IMPORT, &import(self.number));
        push_section(&mut self.modules, CORE_MODULE, module);
        self.number += 1;
        Some(true)
    }

    fn import_of_last(&self) -> Vec<u8> {
        self.imports[self.before..].to_vec()
    }

    /// Takes those of a component that lies in others, so deep. The answer is what is left of it: it has them from the outermost.
    fn out_of(&mut self, component: &[u8], depth: u32) -> Option<Vec<u8>> {
        let mut rest = COMPONENT_HEADER.to_vec();
        for section in sections(component, COMPONENT_HEADER)? {
            match section.id {
                CORE_MODULE if self.take(section.content)? => {
                    push_section(&mut rest, ALIAS, &outer_module(depth, self.number - 1));
                }
                COMPONENT if depth < DEPTH => {
                    let inside = self.out_of(section.content, depth + 1)?;
                    push_section(&mut rest, COMPONENT, &inside);
                }
                _ => rest.extend_from_slice(section.whole),
            }
        }
        Some(rest)
    }
}

/// One import of the module type that was defined last: the types have the numbers of the modules.
fn import(number: u32) -> Vec<u8> {
    let mut section = vec![1, 0x00];
    push_name(&mut section, &module_name(number));
    section.extend(SORT_CORE_MODULE);
    push_number(&mut section, number as usize);
    section
}

/// A module of the component that lies so many further out.
fn outer_module(depth: u32, number: u32) -> Vec<u8> {
    const OUTER: u8 = 0x02;
    let mut section = vec![1];
    section.extend(SORT_CORE_MODULE);
    section.push(OUTER);
    push_number(&mut section, depth as usize);
    push_number(&mut section, number as usize);
    section
}

fn exports(modules: u32) -> Vec<u8> {
    let mut section = Vec::new();
    push_number(&mut section, modules as usize);
    for number in 0..modules {
        section.push(0x00);
        push_name(&mut section, &module_name(number));
        section.extend(SORT_CORE_MODULE);
        push_number(&mut section, number as usize);
        // Of the type that it has.
        section.push(0x00);
    }
    section
}

/// What a core module is from outside.
#[derive(Default)]
struct Outside<'m> {
    /// Each in its form in the module.
    types: Vec<&'m [u8]>,
    imports: Vec<(&'m str, &'m str, TypeRef)>,
    exports: Vec<(&'m str, TypeRef)>,
    /// The bytes of its functions.
    code_bytes: usize,
    /// The bytes that it puts into memory.
    data_bytes: usize,
}

impl<'m> Outside<'m> {
    /// Of a module with much code and hardly any data. None: of another.
    fn of_large(module: &'m [u8]) -> Result<Option<Outside<'m>>, BinaryReaderError> {
        use wasmparser::ExternalKind as Kind;

        let mut outside = Outside::default();
        // What is imported comes first in each.
        let (mut functions, mut tables, mut memories, mut globals, mut tags) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::TypeSection(types) => {
                    let end = types.range().end;
                    let begins: Result<Vec<usize>, _> =
                        types.into_iter_with_offsets().map(|found| Ok(found?.0)).collect();
                    let begins = begins?;
                    let ends = begins.iter().skip(1).copied().chain([end]);
                    outside.types =
                        begins.iter().zip(ends).map(|(begin, end)| &module[*begin..end]).collect();
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        match import.ty {
                            TypeRef::Func(_) | TypeRef::FuncExact(_) => functions.push(import.ty),
                            TypeRef::Table(_) => tables.push(import.ty),
                            TypeRef::Memory(_) => memories.push(import.ty),
                            TypeRef::Global(_) => globals.push(import.ty),
                            TypeRef::Tag(_) => tags.push(import.ty),
                        }
                        outside.imports.push((import.module, import.name, import.ty));
                    }
                }
                Payload::FunctionSection(own) => {
                    for index in own {
                        functions.push(TypeRef::Func(index?));
                    }
                }
                Payload::TableSection(own) => {
                    for table in own {
                        tables.push(TypeRef::Table(table?.ty));
                    }
                }
                Payload::MemorySection(own) => {
                    for memory in own {
                        memories.push(TypeRef::Memory(memory?));
                    }
                }
                Payload::GlobalSection(own) => {
                    for global in own {
                        globals.push(TypeRef::Global(global?.ty));
                    }
                }
                Payload::TagSection(own) => {
                    for tag in own {
                        tags.push(TypeRef::Tag(tag?));
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        let all = match export.kind {
                            Kind::Func | Kind::FuncExact => &functions,
                            Kind::Table => &tables,
                            Kind::Memory => &memories,
                            Kind::Global => &globals,
                            Kind::Tag => &tags,
                        };
                        // What is not there the compiler refuses.
                        let Some(found) = all.get(export.index as usize) else { return Ok(None) };
                        outside.exports.push((export.name, *found));
                    }
                }
                Payload::CodeSectionStart { size, .. } => outside.code_bytes = size as usize,
                Payload::DataSection(data) => outside.data_bytes = data.range().len(),
                _ => {}
            }
        }
        let is_runtime = outside.code_bytes >= LARGE_BYTES && outside.data_bytes <= DATA_BYTES;
        Ok(is_runtime.then_some(outside))
    }

    /// A section of core types with the type of this module. None: something in it is not plain enough.
    fn module_type(&self) -> Option<Vec<u8>> {
        let mut section = vec![1, 0x50];
        push_number(&mut section, self.types.len() + self.imports.len() + self.exports.len());
        for raw in &self.types {
            const FUNCTION: u8 = 0x60;
            if raw.first() != Some(&FUNCTION) {
                return None;
            }
            section.push(0x01);
            section.extend_from_slice(raw);
        }
        for (module, name, found) in &self.imports {
            section.push(0x00);
            push_name(&mut section, module);
            push_name(&mut section, name);
            push_type(&mut section, found)?;
        }
        for (name, found) in &self.exports {
            section.push(0x03);
            push_name(&mut section, name);
            push_type(&mut section, found)?;
        }
        Some(section)
    }
}

/// None: it is of a proposal that the usual toolchains do not use.
fn push_type(into: &mut Vec<u8>, found: &TypeRef) -> Option<()> {
    match found {
        TypeRef::Func(index) => {
            into.push(0x00);
            push_number(into, *index as usize);
        }
        TypeRef::Table(table) if !table.table64 && !table.shared => {
            into.extend([0x01, value_type(ValType::Ref(table.element_type))?]);
            push_limits(into, table.initial, table.maximum);
        }
        TypeRef::Memory(memory) if !memory.memory64 && !memory.shared && memory.page_size_log2.is_none() => {
            into.push(0x02);
            push_limits(into, memory.initial, memory.maximum);
        }
        TypeRef::Global(global) if !global.shared => {
            into.extend([0x03, value_type(global.content_type)?, u8::from(global.mutable)]);
        }
        TypeRef::Tag(tag) => {
            into.extend([0x04, 0x00]);
            push_number(into, tag.func_type_idx as usize);
        }
        _ => return None,
    }
    Some(())
}

fn value_type(found: ValType) -> Option<u8> {
    Some(match found {
        ValType::I32 => 0x7f,
        ValType::I64 => 0x7e,
        ValType::F32 => 0x7d,
        ValType::F64 => 0x7c,
        ValType::V128 => 0x7b,
        ValType::FUNCREF => 0x70,
        ValType::EXTERNREF => 0x6f,
        ValType::Ref(_) => return None,
    })
}

fn push_limits(into: &mut Vec<u8>, least: u64, most: Option<u64>) {
    into.push(u8::from(most.is_some()));
    for number in [Some(least), most].into_iter().flatten() {
        push_number(into, usize::try_from(number).unwrap_or(usize::MAX));
    }
}

fn push_section(into: &mut Vec<u8>, id: u8, content: &[u8]) {
    into.push(id);
    push_number(into, content.len());
    into.extend_from_slice(content);
}

fn push_name(into: &mut Vec<u8>, name: &str) {
    push_number(into, name.len());
    into.extend_from_slice(name.as_bytes());
}

/// In LEB128: seven bits a byte, the lowest first.
fn push_number(into: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

#[cfg(test)]
mod tests;

//! Plans: what is to be changed, in order, all of it or nothing.

use anyhow::Context as _;
use std::io::Write;

/// One change.
pub(crate) trait Step {
    /// Says what it does, as an order: `make group pofrclients`.
    fn says(&self) -> String;

    /// Says what more there is to show: a file's lines.
    fn shows(&self) -> Vec<String> {
        Vec::new()
    }

    /// Tells whether it is so already.
    fn is_done(&self) -> anyhow::Result<bool>;

    /// Does it. Where that fails, [`undo`](Self::undo) takes back what was half done.
    fn act(&mut self) -> anyhow::Result<()>;

    /// Takes back what [`act`](Self::act) did, and no more.
    fn undo(&mut self) -> anyhow::Result<()>;
}

/// Changes in order.
#[derive(Default)]
pub(crate) struct Plan {
    steps: Vec<Box<dyn Step>>,
}

impl Plan {
    /// Adds a step.
    pub(crate) fn then(&mut self, step: impl Step + 'static) {
        self.steps.push(Box::new(step));
    }

    /// Shows the steps: `=` before what is so already, `+` before what would be done.
    pub(crate) fn show(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        for step in &self.steps {
            // What cannot be told yet is not done.
            let done = step.is_done().unwrap_or(false);
            writeln!(out, "{} {}", if done { '=' } else { '+' }, step.says())?;
            if !done {
                for line in step.shows() {
                    writeln!(out, "    {line}")?;
                }
            }
        }
        Ok(())
    }

    /// Does what is not so already, and says each on `out`; returns how many steps that were. Where one fails, it and all
    /// before it are taken back, last first.
    pub(crate) fn carry_out(&mut self, out: &mut dyn Write) -> anyhow::Result<usize> {
        let mut acted: Vec<usize> = Vec::new();
        for i in 0..self.steps.len() {
            let step = &mut self.steps[i];
            let says = step.says();
            let result = step.is_done().and_then(|done| {
                if !done {
                    acted.push(i);
                    step.act()?;
                    writeln!(out, "+ {says}")?;
                }
                Ok(())
            });
            if let Err(error) = result {
                let left = self.take_back(&acted);
                let came_to = match left.len() {
                    0 => "everything is as it was".to_owned(),
                    _ => format!("and could not be taken back: {}", left.join("; ")),
                };
                return Err(error).with_context(|| format!("could not {says}; {came_to}"));
            }
        }
        Ok(acted.len())
    }

    /// Takes steps back, last first; returns what could not be.
    fn take_back(&mut self, acted: &[usize]) -> Vec<String> {
        let mut left = Vec::new();
        for i in acted.iter().rev() {
            let step = &mut self.steps[*i];
            if let Err(error) = step.undo() {
                left.push(format!("{}: {error:#}", step.says()));
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, rc::Rc};

    type World = Rc<RefCell<Vec<u32>>>;

    struct Add(u32, World, bool);

    impl Step for Add {
        fn says(&self) -> String {
            format!("add {}", self.0)
        }
        fn is_done(&self) -> anyhow::Result<bool> {
            Ok(self.1.borrow().contains(&self.0))
        }
        fn act(&mut self) -> anyhow::Result<()> {
            self.1.borrow_mut().push(self.0);
            if self.2 { anyhow::bail!("no") } else { Ok(()) }
        }
        fn undo(&mut self) -> anyhow::Result<()> {
            self.1.borrow_mut().retain(|n| *n != self.0);
            Ok(())
        }
    }

    fn plan(world: &World, fails: Option<u32>) -> Plan {
        let mut plan = Plan::default();
        for n in 1..=4 {
            plan.then(Add(n, Rc::clone(world), Some(n) == fails));
        }
        plan
    }

    #[test]
    fn all_or_nothing_wherever_it_fails_and_once_is_enough() {
        for fails in 1..=4 {
            // What was there before stays, whatever happens.
            let world: World = Rc::new(RefCell::new(if fails == 2 { vec![] } else { vec![2] }));
            let before = world.borrow().clone();
            let error = plan(&world, Some(fails)).carry_out(&mut Vec::new()).unwrap_err();
            assert!(format!("{error:#}").contains("everything is as it was"), "{error:#}");
            assert_eq!(*world.borrow(), before, "failed at {fails}");
            assert_eq!(plan(&world, None).carry_out(&mut Vec::new()).unwrap(), 4 - before.len());
            assert_eq!(plan(&world, None).carry_out(&mut Vec::new()).unwrap(), 0);
        }
    }

    #[test]
    fn showing_does_nothing() {
        let world: World = Rc::new(RefCell::new(vec![3]));
        let mut out = Vec::new();
        plan(&world, None).show(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "+ add 1\n+ add 2\n= add 3\n+ add 4\n");
        assert_eq!(*world.borrow(), [3]);
    }
}

//! stub
#[derive(Debug)]
pub struct Tracker;
#[derive(Debug)]
pub struct Tracked;
#[derive(Debug)]
pub struct StreamError;

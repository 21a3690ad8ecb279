//! Keeps Portcullis sessions in Redis.

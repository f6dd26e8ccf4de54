package main

import (
	"context"
	"io"
)

func measureMemory(context.Context, *bench) error  { return nil }
func measureStart(context.Context, *bench) error   { return nil }
func measureSize(context.Context, *bench) error    { return nil }
func measureLists(context.Context, *bench) error   { return nil }
func measureStreams(context.Context, *bench) error { return nil }
func measureReal(context.Context, *bench) error    { return nil }

func readHandoffs(context.Context, []string, io.Writer) error { return nil }

func (b *bench) conclude(context.Context, io.Writer) error { return nil }

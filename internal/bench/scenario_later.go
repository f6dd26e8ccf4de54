package main

import (
	"context"
	"io"
)

func measureReal(context.Context, *bench) error { return nil }

func readHandoffs(context.Context, []string, io.Writer) error { return nil }

func (b *bench) conclude(context.Context, io.Writer) error { return nil }

package check

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// output keeps what a command prints: the beginning and the end in memory, and
// all of it in a file once it is longer than the limit. It is not safe for
// concurrent use: one goroutine writes, and finish is called after that.
type output struct {
	limit int
	path  string
	max   int64 // bytes of the file

	total int64
	head  []byte // the first limit bytes
	tail  []byte // the last limit bytes, and up to as many before them

	file    *os.File
	written int64
	fileErr error
}

func newOutput(limit int, path string, maxFile int64) *output {
	return &output{limit: max(limit, 1), path: path, max: maxFile}
}

// write never fails: a command is not to be stopped by its own output.
func (o *output) write(p []byte) {
	before := o.total
	o.total += int64(len(p))
	if o.total > int64(o.limit) && before <= int64(o.limit) {
		o.open()
	}
	o.head = append(o.head, p[:min(len(p), o.limit-len(o.head))]...)
	o.tail = append(o.tail, p...)
	if len(o.tail) > 2*o.limit {
		o.tail = append(o.tail[:0], o.tail[len(o.tail)-o.limit:]...)
	}
	o.toFile(p)
}

// open makes the file and puts in what came before.
func (o *output) open() {
	if o.path == "" || o.file != nil {
		return
	}
	if o.fileErr = os.MkdirAll(filepath.Dir(o.path), 0o700); o.fileErr != nil {
		return
	}
	o.file, o.fileErr = os.OpenFile(o.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	o.toFile(o.head)
}

func (o *output) toFile(p []byte) {
	if o.file == nil || o.fileErr != nil {
		return
	}
	n, err := o.file.Write(p[:min(int64(len(p)), o.max-o.written)])
	o.written += int64(n)
	o.fileErr = err
}

// finish returns the output as it is passed on, and the file with the whole of
// it where it is too long; the file is complete then.
func (o *output) finish() (text, file string) {
	if o.total <= int64(o.limit) {
		if text := clean(o.head); len(text) <= o.limit {
			return text, ""
		}
		o.open() // it is too long once it can be read
	}
	if o.file != nil {
		o.fileErr = errors.Join(o.fileErr, o.file.Sync(), o.file.Close())
		if o.written > 0 {
			file = o.path
		}
	}
	return excerpt(clean(o.head), clean(o.tail), o.note(), o.limit), file
}

// note stands in the place of what is left out.
func (o *output) note() string {
	what := fmt.Sprintf("the output is %s, and the middle is left out here", size(o.total))
	switch {
	case o.path == "":
		return what
	case o.fileErr != nil && o.written > 0:
		return fmt.Sprintf("%s; the first %s are in %s, the rest could not be written: %s", what, size(o.written), o.path, o.fileErr)
	case o.fileErr != nil:
		return fmt.Sprintf("%s; it could not be written to a file: %s", what, o.fileErr)
	case o.written < o.total:
		return fmt.Sprintf("%s; the first %s are in %s, the rest was not kept", what, size(o.written), o.path)
	}
	return fmt.Sprintf("%s; the whole is in %s", what, o.path)
}

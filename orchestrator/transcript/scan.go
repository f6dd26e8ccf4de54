package transcript

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// piece is a part of a file: a block, or what is damaged before one.
type piece struct {
	head
	at, size int64 // in the file, with the header
	damaged  bool
}

// stored is what can be scanned.
type stored interface {
	io.ReaderAt
	Stat() (os.FileInfo, error)
}

// scan tells the blocks of a file from an offset on, where a block begins or the
// file is damaged. It reads headers alone, so that a long file costs little. What
// is damaged belongs to the attempt of the block that follows. What ends the file
// and is no whole block is returned: it is being written, or never will be. Of size
// zero, there is none; otherwise it belongs to the attempt that its header names, or
// to last, which is that of the block before the offset.
func (l layout) scan(file stored, from int64, last attempt, block func(piece)) (rest piece, err error) {
	info, err := file.Stat()
	if err != nil {
		return piece{}, fmt.Errorf("look at a transcript: %w", err)
	}
	size := info.Size()
	if from >= size { // as that of a file which was just made
		return piece{head: head{of: last}, at: from, damaged: true}, nil
	}
	headers := window{file: file}
	good := from // where the last block ends
	for offset := from; offset < size; {
		h, state, err := l.header(&headers, offset)
		if err != nil {
			return piece{}, fmt.Errorf("read a transcript: %w", err)
		}
		next := offset + int64(l.size) + h.length
		switch {
		case state == headerTorn:
			return piece{head: head{of: last}, at: good, size: size - good}, nil
		case state == headerWhole && next > size:
			return piece{head: h, at: good, size: size - good}, nil
		case state == headerWhole:
			if good < offset {
				block(piece{head: head{of: h.of}, at: good, size: offset - good, damaged: true})
			}
			block(piece{head: h, at: offset, size: next - offset})
			offset, good, last = next, next, h.of
			continue
		}
		var found bool
		if offset, found, err = headers.find(l.mark[:], offset+1); err != nil {
			return piece{}, fmt.Errorf("read a transcript: %w", err)
		}
		if !found {
			break
		}
	}
	return piece{head: head{of: last}, at: good, size: max(0, size-good), damaged: true}, nil
}

// What there is of a header.
const (
	headerWhole = iota
	headerTorn
	headerDamaged
)

// header reads the header at an offset.
func (l layout) header(w *window, offset int64) (head, int, error) {
	data, err := w.from(offset, l.size)
	if err != nil {
		return head{}, headerDamaged, err
	}
	known := min(len(data), len(l.mark))
	switch {
	case !bytes.Equal(data[:known], l.mark[:known]):
		return head{}, headerDamaged, nil
	case len(data) < l.size:
		return head{}, headerTorn, nil
	}
	if h, ok := l.parse(data[:l.size]); ok {
		return h, headerWhole, nil
	}
	return head{}, headerDamaged, nil
}

// window reads a page of a file at a time, which holds several headers of short blocks.
type window struct {
	file  io.ReaderAt
	page  [4096]byte
	start int64
	n     int
}

// from returns what is there from an offset on: n bytes at least, unless the file
// ends before. It is valid until the next call.
func (w *window) from(offset int64, n int) ([]byte, error) {
	if offset < w.start || offset+int64(n) > w.start+int64(w.n) {
		read, err := w.file.ReadAt(w.page[:], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			w.n = 0
			return nil, err
		}
		w.start, w.n = offset, read
	}
	return w.page[offset-w.start : w.n], nil
}

// find looks for a mark from an offset on.
func (w *window) find(mark []byte, offset int64) (at int64, found bool, err error) {
	for {
		data, err := w.from(offset, len(mark))
		if err != nil || len(data) < len(mark) {
			return offset, false, err
		}
		if i := bytes.Index(data, mark); i >= 0 {
			return offset + int64(i), true, nil
		}
		offset += int64(len(data) - len(mark) + 1)
	}
}

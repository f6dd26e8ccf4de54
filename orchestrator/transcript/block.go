package transcript

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	// headerSize is that of the skippable frame before each block: its magic number
	// and its size, as zstd wants them, and then the length and the checksum of the block.
	headerSize = 16
	// maxBlock bounds a block, compressed or not: more is damage.
	maxBlock = 16 << 20
)

// mark begins a block: a skippable frame with eight bytes.
var mark = [8]byte{0x5e, 0x2a, 0x4d, 0x18, 8} //nolint:gochecknoglobals // it is constant

// encoder makes blocks. One at a time is enough for all turns.
type encoder struct{ zstd *zstd.Encoder }

func newEncoder() (*encoder, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(128<<10), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("make a compressor: %w", err)
	}
	return &encoder{z}, nil
}

// block appends the block of lines to buffer.
func (e *encoder) block(buffer, lines []byte) []byte {
	begin := len(buffer)
	buffer = append(buffer, make([]byte, headerSize)...)
	buffer = e.zstd.EncodeAll(lines, buffer)
	header, frame := buffer[begin:begin+headerSize], buffer[begin+headerSize:]
	copy(header, mark[:])
	binary.LittleEndian.PutUint32(header[8:], uint32(len(frame)))
	binary.LittleEndian.PutUint32(header[12:], crc32.ChecksumIEEE(frame))
	return buffer
}

var (
	// errTorn means that a file ends within a block.
	errTorn = errors.New("the file ends within a block")
	// errDamaged means that a block is not what was written.
	errDamaged = errors.New("a block is damaged")
)

// readBlock reads the frame at an offset, and where the next block begins.
// Errors: io.EOF at the end, errTorn, errDamaged.
func readBlock(file io.ReaderAt, offset int64) (frame []byte, next int64, err error) {
	var header [headerSize]byte
	n, err := file.ReadAt(header[:], offset)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, offset, err
	case n == 0:
		return nil, offset, io.EOF
	case [8]byte(header[:8]) != mark && n >= len(mark), n < len(mark) && string(header[:n]) != string(mark[:n]):
		return nil, offset, errDamaged
	case n < headerSize:
		return nil, offset, errTorn
	}
	length := binary.LittleEndian.Uint32(header[8:])
	if length > maxBlock {
		return nil, offset, errDamaged
	}
	frame = make([]byte, length)
	if n, err := file.ReadAt(frame, offset+headerSize); err != nil && !errors.Is(err, io.EOF) {
		return nil, offset, err
	} else if n < len(frame) {
		return nil, offset, errTorn
	}
	if crc32.ChecksumIEEE(frame) != binary.LittleEndian.Uint32(header[12:]) {
		return nil, offset, errDamaged
	}
	return frame, offset + headerSize + int64(length), nil
}

// wholeSize is where the last block ends that can be added to.
func wholeSize(file io.ReaderAt) (int64, error) {
	var end int64
	for {
		_, next, err := readBlock(file, end)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			return end, nil
		case errors.Is(err, errDamaged):
			skipped, found, err := nextMark(file, end+1)
			if err != nil || !found {
				return end, err
			}
			end = skipped
			continue
		case err != nil:
			return end, err
		}
		end = next
	}
}

// nextMark looks for a block from an offset on.
func nextMark(file io.ReaderAt, offset int64) (at int64, found bool, err error) {
	window := make([]byte, 64<<10)
	for {
		n, err := file.ReadAt(window, offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return offset, false, err
		}
		for i := 0; i+len(mark) <= n; i++ {
			if [8]byte(window[i:]) == mark {
				return offset + int64(i), true, nil
			}
		}
		if n < len(window) {
			return offset + int64(n), false, nil
		}
		offset += int64(n - len(mark) + 1)
	}
}

package transcript

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxBlock bounds a block, compressed or not: more is damage.
const maxBlock = 16 << 20

// attempt names an attempt within its task.
type attempt struct{ turn, number int }

// compare orders attempts as they were begun.
func (a attempt) compare(b attempt) int {
	if a.turn != b.turn {
		return a.turn - b.turn
	}
	return a.number - b.number
}

// layout is how the skippable frame before each block looks.
type layout struct {
	// mark is what it begins with: its magic number and its size, as zstd wants them.
	mark [8]byte
	// size is that of all of it.
	size int
	// parse reads the rest of one; it is false where that is damaged.
	parse func(header []byte) (head, bool)
}

// head is what the header of a block says.
type head struct {
	of     attempt
	length int64 // of the block without its header
	sum    uint32
}

// current is how files are written: the length and the checksum of the block, the
// turn and the attempt that it belongs to, and a checksum of all that. Blocks are
// told apart, and passed over, by their headers alone, so that these have to be
// trusted without what follows.
var current = layout{mark: [8]byte{0x5e, 0x2a, 0x4d, 0x18, 20}, size: headerSize, parse: parseHeader} //nolint:gochecknoglobals // it is constant

const headerSize = 28

func parseHeader(header []byte) (head, bool) {
	field := func(at int) uint32 { return binary.LittleEndian.Uint32(header[at:]) }
	h := head{of: attempt{int(field(16)), int(field(20))}, length: int64(field(8)), sum: field(12)}
	return h, field(24) == crc32.ChecksumIEEE(header[:24]) && h.length <= maxBlock
}

// encoder makes blocks. One at a time is enough for all turns.
type encoder struct{ zstd *zstd.Encoder }

func newEncoder() (*encoder, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(128<<10), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("make a compressor: %w", err)
	}
	return &encoder{z}, nil
}

// block appends the block of an attempt's lines to buffer.
func (e *encoder) block(buffer []byte, of attempt, lines []byte) []byte {
	begin := len(buffer)
	buffer = append(buffer, make([]byte, headerSize)...)
	buffer = e.zstd.EncodeAll(lines, buffer)
	header, frame := buffer[begin:begin+headerSize], buffer[begin+headerSize:]
	copy(header, current.mark[:])
	for i, field := range []uint32{uint32(len(frame)), crc32.ChecksumIEEE(frame), uint32(of.turn), uint32(of.number)} {
		binary.LittleEndian.PutUint32(header[8+4*i:], field)
	}
	binary.LittleEndian.PutUint32(header[24:], crc32.ChecksumIEEE(header[:24]))
	return buffer
}

// errDamaged means that a block is not what was written.
var errDamaged = errors.New("a block is damaged")

// decoder reads blocks.
type decoder struct{ zstd *zstd.Decoder }

func newDecoder() (*decoder, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("make a decompressor: %w", err)
	}
	return &decoder{z}, nil
}

// lines reads the lines of a block. Errors: errDamaged.
func (d *decoder) lines(file io.ReaderAt, p piece) ([]byte, error) {
	if p.damaged {
		return nil, errDamaged
	}
	frame := make([]byte, p.length)
	if n, err := file.ReadAt(frame, p.at+p.size-p.length); n < len(frame) {
		if errors.Is(err, io.EOF) {
			return nil, errDamaged // it was there before
		}
		return nil, fmt.Errorf("read a transcript: %w", err)
	}
	if crc32.ChecksumIEEE(frame) != p.sum {
		return nil, errDamaged
	}
	lines, err := d.zstd.DecodeAll(frame, nil)
	if err != nil {
		return nil, errDamaged
	}
	return lines, nil
}

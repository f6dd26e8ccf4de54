package transcript

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// earlierBlock is a block as earlier versions wrote it.
func earlierBlock(t testing.TB, lines string) []byte {
	t.Helper()
	e, err := newEncoder()
	if err != nil {
		t.Fatal(err)
	}
	frame := e.zstd.EncodeAll([]byte(lines), nil)
	block := binary.LittleEndian.AppendUint32([]byte{0x5e, 0x2a, 0x4d, 0x18, 8, 0, 0, 0}, uint32(len(frame)))
	return append(binary.LittleEndian.AppendUint32(block, crc32.ChecksumIEEE(frame)), frame...)
}

// putEarlier makes the file of an attempt as earlier versions did.
func putEarlier(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, "T", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const earlierLines = `{"at":"2026-11-23T07:34:23Z","type":"begin","node":"coder"}
{"at":"2026-11-23T07:34:24Z","type":"text","text":"%s"}
`

// What earlier versions wrote is told before what is written now, and left as it is.
func TestEarlierLayoutIsTold(t *testing.T) {
	dir := t.TempDir()
	one := earlierBlock(t, fmt.Sprintf(earlierLines, "one"))
	damaged := earlierBlock(t, fmt.Sprintf(earlierLines, "damaged"))
	damaged[len(damaged)/2] ^= 0xff
	putEarlier(t, dir, "1.1.jsonl.zst", append(append(append([]byte{}, one...), damaged...), one...))
	putEarlier(t, dir, "1.2.jsonl.zst", append(append(append([]byte{}, one...), one...), one[:20]...))
	putEarlier(t, dir, "notes.txt", []byte("of somebody"))
	f := newFiles(t, dir)
	second := start("T", 1)
	second.Attempt = 2
	f.Begin(second).Close(workflow.TurnFinished{Reason: workflow.ReasonEndTurn})
	f.Begin(start("T", 2)).Close(nil)
	closeFiles(t, f)
	want := []string{
		"1.1 begin ", "1.1 text one", "1.1 cut the file is damaged here", "1.1 begin ", "1.1 text one",
		"1.2 begin ", "1.2 text one", "1.2 begin ", "1.2 text one", "1.2 begin ", "1.2 prompt do it", "1.2 end ",
		"2.1 begin ", "2.1 prompt do it", "1.2 cut the file ends within a block: it is being written, or the process was killed",
	}
	if diff := cmp.Diff(want, streamed(t, dir, Selection{})); diff != "" {
		t.Error(diff)
	}
	list, err := List(dir, "T")
	if err != nil || len(list) != 3 || list[0].Size != int64(2*len(one)+len(damaged)) {
		t.Errorf("%+v, %v", list, err)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "T")); err != nil || len(entries) != 3 {
		t.Errorf("%v, %v", entries, err)
	}
}

// They go by their own time, as they did, and their directory with the last.
func TestEarlierLayoutIsRemoved(t *testing.T) {
	dir := t.TempDir()
	block := earlierBlock(t, fmt.Sprintf(earlierLines, "one"))
	now := time.Now()
	for i, name := range []string{"1.1.jsonl.zst", "2.1.jsonl.zst"} {
		at := now.Add(time.Duration(i-2) * time.Hour)
		if err := os.Chtimes(putEarlier(t, dir, name, block), at, at); err != nil {
			t.Fatal(err)
		}
	}
	if removed, err := RemoveBefore(dir, now.Add(-90*time.Minute), nil); removed != 1 || err != nil {
		t.Errorf("%d removed, %v", removed, err)
	}
	if got := streamed(t, dir, Selection{}); len(got) != 2 || !strings.HasPrefix(got[0], "2.1") {
		t.Errorf("left: %v", got)
	}
	if removed, err := RemoveBefore(dir, now, nil); removed != 1 || err != nil {
		t.Errorf("%d removed, %v", removed, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

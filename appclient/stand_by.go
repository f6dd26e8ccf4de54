package appclient

import "bytes"

// maxKept bounds how many frames are kept of a turn that is stood by.
const maxKept = 1024

// keptFrames are the last frames of a turn that is stood by.
type keptFrames []incoming

func (k *keptFrames) add(in incoming) {
	if len(*k) >= maxKept {
		n := copy(*k, (*k)[maxKept/2:])
		clear((*k)[n:])
		*k = (*k)[:n]
	}
	*k = append(*k, in)
}

// goOn takes in what was kept after what was seen on the lost connection, if there is
// one, and has everything read that comes from now on.
func (l *turnLoop) goOn(lost *RunningTurn) {
	kept := l.kept
	l.kept, l.unread = nil, false
	if lost != nil {
		l.fold = lost.left
		kept = l.fold.goOn(kept)
	}
	for _, in := range kept {
		l.take(in)
	}
}

// goOn returns what is still to be taken in of what another connection has got.
func (f *fold) goOn(kept []incoming) []incoming {
	seen := seenOf(kept, f.lastDelta)
	f.continued, f.unproven = true, seen == 0
	return kept[seen:]
}

// seenOf is how many of the frames had come when the given delta did: the server sends
// the same to all connections, in the same order.
func seenOf(kept []incoming, last []byte) int {
	if last == nil {
		return 0
	}
	for i := len(kept) - 1; i >= 0; i-- {
		if kept[i].frame.Type == TypeStreamDelta && bytes.Equal(member(kept[i].frame.Raw, "delta"), last) {
			return i + 1
		}
	}
	return 0
}

// numbered follows the numbers that the server gives to the deltas of a run, from 1 on
// and without a gap, and is false for one that was taken in already, on the
// connection that was lost.
func (f *fold) numbered(d *Delta) bool {
	if d.SeqID == 0 {
		return true
	}
	if last := f.numbers[d.RunID]; f.continued {
		if d.SeqID > last+1 || f.unproven && d.RunID != f.lastRun {
			f.result.Gap = true // a whole run may be missing, too
		}
		f.unproven = false
		if d.SeqID <= last {
			return false
		}
	}
	if f.numbers == nil {
		f.numbers = make(map[string]int64)
	}
	f.numbers[d.RunID], f.lastRun = d.SeqID, d.RunID
	return true
}

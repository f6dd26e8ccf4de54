package store

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	sqlite3 "modernc.org/sqlite/lib"
)

// kind says what a failure of SQLite or of the disk asks for.
type kind int

const (
	kindOther    kind = iota // a defect; trying again does not help
	kindFull                 // free disk space
	kindIO                   // look at the disk
	kindRights               // look at the permissions
	kindBusy                 // wait, or find who holds it
	kindDamaged              // put back a backup
	kindNoMemory             // wait
)

// unavailable reports whether the same operation may work later.
func (k kind) unavailable() bool { return k != kindOther && k != kindDamaged }

func kindOf(err error) kind {
	if damage := (*damageError)(nil); errors.As(err, &damage) {
		return kindDamaged
	}
	if coded, ok := errors.AsType[interface {
		error
		Code() int
	}](err); ok {
		return kindOfCode(coded.Code())
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return kindFull
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return kindIO
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrNotExist):
		return kindRights
	}
	return kindOther
}

// kindOfCode reads a result code; the low byte is the primary one.
func kindOfCode(code int) kind {
	if code == sqlite3.SQLITE_IOERR_CORRUPTFS {
		return kindDamaged
	}
	switch code & 0xff {
	case sqlite3.SQLITE_FULL:
		return kindFull
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PROTOCOL:
		return kindIO
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		return kindRights
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return kindBusy
	case sqlite3.SQLITE_NOMEM:
		return kindNoMemory
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return kindDamaged
	}
	return kindOther
}

// Remedy says what a person can do about a failure of the store, in a sentence
// without a full stop; empty when nothing is known.
func (e *StorageError) Remedy() string {
	const kept = "; everything that was committed is kept"
	switch kindOf(e.Err) {
	case kindFull:
		return "free disk space for " + e.Dir + kept
	case kindIO:
		return "check the disk of " + e.Dir + ", and whether it is full" + kept
	case kindRights:
		return "check who owns " + e.Dir + " and what is in it, and that it may be written" + kept
	case kindBusy:
		return "look for another program that has the file in " + e.Dir + " open" + kept
	case kindNoMemory:
		return "free memory" + kept
	case kindDamaged:
		return "keep " + e.Dir + " as it is, and put a backup in its place (orchestrator backup makes them), or choose another data directory"
	case kindOther:
	}
	return ""
}

// damageError is what a check of the file found.
type damageError struct{ found string }

// Error implements error.
func (e *damageError) Error() string {
	found := strings.TrimPrefix(e.found, "*** in database main ***\n")
	return "the file is damaged: " + strings.ReplaceAll(found, "\n", "; ")
}

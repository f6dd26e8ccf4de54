package runner

import (
	"path/filepath"
	"strings"
)

// readsOutput says whether a call reads one of the files in which long outputs
// are passed on: one of this task, or one that the message names.
func (a *attempt) readsOutput(use toolUse) bool {
	root := a.r.opts.OutputDir
	if root == "" || !a.r.opts.Local || use.name != "Read" {
		return false
	}
	file, _, ok := use.file()
	if !ok {
		return false
	}
	within, ok := below(root, file)
	if !ok {
		return false
	}
	own := strings.HasPrefix(within, a.req.Task+string(filepath.Separator))
	if !own && !strings.Contains(a.req.Turn.Message, file) {
		return false
	}
	// A link must not lead out of the directory.
	realRoot, err := filepath.EvalSymlinks(root)
	if err != nil {
		return false
	}
	realFile, err := filepath.EvalSymlinks(file)
	if err != nil {
		return false
	}
	_, ok = below(realRoot, realFile)
	return ok
}

// below returns the path of a file relative to a directory that holds it.
func below(dir, file string) (string, bool) {
	within, err := filepath.Rel(dir, file)
	if err != nil || !filepath.IsLocal(within) || within == "." {
		return "", false
	}
	return within, true
}

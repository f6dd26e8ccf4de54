package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// handoffsField tells a team file from other YAML, also one that is not valid.
var handoffsField = regexp.MustCompile(`(?m)^["']?handoffs["']?\s*:`)

// teamFiles replaces every directory by the team files below it, in the order
// of their names. Directories whose name begins with a dot are left out.
func teamFiles(paths []string) ([]string, error) {
	var out []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() {
			out = append(out, path) // who reads it says what is wrong
			continue
		}
		before := len(out)
		err = filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && file != path && strings.HasPrefix(entry.Name(), "."):
				return fs.SkipDir
			case entry.IsDir() || filepath.Ext(file) != ".yaml":
				return nil
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if handoffsField.Match(text) {
				out = append(out, file)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for team files in %s: %w", path, err)
		}
		if len(out) == before {
			return nil, fmt.Errorf("there is no team file below %s: no *.yaml there has a field %q", path, "handoffs")
		}
	}
	return out, nil
}

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
		found, err := yamlFiles(path, func(_ string, text []byte) bool { return handoffsField.Match(text) })
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("there is no team file below %s: no *.yaml there has a field %q", path, "handoffs")
		}
		out = append(out, found...)
	}
	return out, nil
}

// yamlFiles lists the *.yaml below a directory that are wanted, in the order
// of their names. Directories whose name begins with a dot are left out.
func yamlFiles(dir string, wanted func(file string, text []byte) bool) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != dir && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(file) != ".yaml":
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if wanted(file, text) {
			out = append(out, file)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for team files in %s: %w", dir, err)
	}
	return out, nil
}

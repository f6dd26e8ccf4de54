package batch

import (
	"fmt"
	"path/filepath"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// The columns of items that are directories.
const (
	// ColumnDirectory holds the absolute path.
	ColumnDirectory = "directory"
	// ColumnName holds the last part of it.
	ColumnName = "name"
)

// DirectoryItems makes an item of each directory, with the columns directory and
// name. Where neither is an input of the team, or for one, the directory is for
// the one input that has to be given. What is wrong is a workflow.Problems.
func DirectoryItems(directories []string, o ItemsOptions) ([]Item, error) {
	r := newReading("", o)
	r.loose = true
	if problem := r.directoryColumn(); problem != nil {
		return nil, workflow.Problems{*problem}
	}
	for _, directory := range directories {
		rec := record{fields: []field{{name: ColumnDirectory, value: directory}, {name: ColumnName, value: filepath.Base(directory)}}}
		before := len(r.problems)
		r.add(rec)
		for i := range r.problems[before:] {
			r.problems[before+i].File = directory
		}
		if len(r.problems) == before && r.o.KeyColumn == "" {
			r.items[len(r.items)-1].Label = filepath.Base(directory)
		}
	}
	return r.result()
}

// directoryColumn decides which input gets the directory.
func (r *reading) directoryColumn() *workflow.Problem {
	for _, column := range []string{ColumnDirectory, ColumnName} {
		if r.o.Columns[column] != "" || r.declares(column) {
			return nil
		}
	}
	var wanted []string
	for _, name := range r.inputs() {
		in := r.o.Team.Inputs[name]
		if _, given := r.o.Input[name]; in.Required && in.Type == workflow.InputString && !given {
			wanted = append(wanted, name)
		}
	}
	if len(wanted) != 1 {
		return &workflow.Problem{
			Message: fmt.Sprintf("it is not clear which input of the team %q the directories are for", r.o.Team.Name),
			Fix:     "say it with --map directory=INPUT",
		}
	}
	columns := map[string]string{ColumnDirectory: wanted[0]}
	for column, input := range r.o.Columns {
		columns[column] = input
	}
	r.o.Columns = columns
	return nil
}

package check

import (
	"maps"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
)

// environment is that of the command: what the orchestrator has, then what the
// check is told of its task, then what the team file says. The last one counts.
func (r *Runner) environment(req engine.CheckRequest, directory string) []string {
	env := slices.Concat(Inherited(r.o.Environ()), []string{"PWD=" + directory}, req.Environment)
	for _, name := range slices.Sorted(maps.Keys(req.Check.Environment)) {
		env = append(env, name+"="+req.Check.Environment[name])
	}
	return env
}

// Inherited takes out of an environment what the commands of a workspace must
// not get, since they run what agents wrote: the settings of the orchestrator
// and of the App Server (ORCHESTRATOR_…, LETTA_…), tokens and addresses among
// them, the trace that the orchestrator itself was started in, and the variables by which git would work on another repository than the
// one in the workspace. All others pass, keys of model providers too: the shell
// of an agent has them as well, and tests may need them.
func Inherited(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return strings.HasPrefix(name, "ORCHESTRATOR_") || strings.HasPrefix(name, "LETTA_") || name == "TRACEPARENT" || name == "TRACESTATE" || slices.Contains(gitPlaces(), name)
	})
}

// gitPlaces are set where git itself runs a program, for instance in a hook.
func gitPlaces() []string {
	return []string{
		"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX",
		"GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE",
	}
}

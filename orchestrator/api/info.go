package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

func (a *API) registerInfo() {
	operation(a, huma.Operation{
		OperationID: "get-health", Method: http.MethodGet, Path: "/v1/health", Tags: []string{"daemon"},
		Summary: "Whether the daemon works, and what is wrong",
	}, func(ctx context.Context, _ *struct{}) (*body[Health], error) {
		return reply(a.o.Service.Health(ctx), nil)
	})
	operation(a, huma.Operation{
		OperationID: "get-version", Method: http.MethodGet, Path: "/v1/version", Tags: []string{"daemon"},
		Summary: "Which program serves",
	}, func(ctx context.Context, _ *struct{}) (*body[Version], error) {
		return reply(a.o.Service.Version(ctx), nil)
	})
	operation(a, huma.Operation{
		OperationID: "list-servers", Method: http.MethodGet, Path: "/v1/servers", Tags: []string{"daemon"},
		Summary: "The App Servers",
	}, func(ctx context.Context, _ *struct{}) (*body[ServerList], error) {
		servers, err := a.o.Service.Servers(ctx)
		return reply(ServerList{Servers: orEmpty(servers)}, err)
	})
	a.registerServer("drain-server", "/v1/servers/{name}/drain", "Give an App Server nothing new: what runs there ends, and what lives there waits", a.o.Service.DrainServer)
	a.registerServer("resume-server", "/v1/servers/{name}/resume", "Go on with an App Server that was drained", a.o.Service.ResumeServer)
	operation(a, huma.Operation{
		OperationID: "list-teams", Method: http.MethodGet, Path: "/v1/teams", Tags: []string{"teams"},
		Summary: "The teams that can be submitted by name",
	}, func(ctx context.Context, _ *struct{}) (*body[TeamList], error) {
		teams, err := a.o.Service.Teams(ctx)
		return reply(TeamList{Teams: orEmpty(teams)}, err)
	})
	operation(a, huma.Operation{
		OperationID: "get-team", Method: http.MethodGet, Path: "/v1/teams/{name}", Tags: []string{"teams"},
		Summary: "A team and its source", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		Name string `path:"name"`
	}) (*body[TeamSource], error) {
		return reply(a.o.Service.Team(ctx, in.Name))
	})
}

func (a *API) registerServer(id, path, summary string, change func(ctx context.Context, name string) (Server, error)) {
	operation(a, huma.Operation{
		OperationID: id, Method: http.MethodPost, Path: path, Tags: []string{"daemon"},
		Summary: summary, Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		Name string `path:"name"`
	}) (*body[Server], error) {
		return reply(change(ctx, in.Name))
	})
}

// ServerList is the answer of list-servers.
type ServerList struct {
	Servers []Server `json:"servers"`
}

// TeamList is the answer of list-teams.
type TeamList struct {
	Teams []Team `json:"teams"`
}

// orEmpty makes a list [] in JSON where it would be null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// One program that is Kubernetes' programs and etcd by the name it is called by: what they share is linked once, not seven
// times. Everything below them is in the version that Kubernetes' own go.mod names.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	_ "time/tzdata" // time zones of CronJobs, on nodes that have no files of them

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var programs = map[string]func(){
	"etcd":                    func() { etcdmain.Main(os.Args) },
	"kube-apiserver":          func() { run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() { run(controllermanager.NewControllerManagerCommand()) },
	"kube-proxy":              func() { run(proxy.NewProxyCommand()) },
	"kube-scheduler":          func() { run(scheduler.NewSchedulerCommand()) },
	"kubectl":                 runKubectl,
	"kubelet":                 func() { run(kubeletCommand(kubelet.NewKubeletCommand)) },
}

func main() {
	name := filepath.Base(os.Args[0])
	if program, known := programs[name]; known {
		program()
		return
	}
	names := slices.Sorted(maps.Keys(programs))
	// hack/go-build makes a link for each.
	if len(os.Args) == 2 && os.Args[1] == "--names" {
		for _, name := range names {
			fmt.Println(name)
		}
		return
	}
	fmt.Fprintf(os.Stderr, "%s is not a name that this program knows: call it by a link named as one of %q\n", name, names)
	os.Exit(2)
}

func run(command *cobra.Command) { os.Exit(cli.Run(command)) }

// The kubelet's command takes a context since Kubernetes 1.33.
func kubeletCommand(constructor any) *cobra.Command {
	if constructor, old := constructor.(func() *cobra.Command); old {
		return constructor()
	}
	return constructor.(func(context.Context) *cobra.Command)(context.Background())
}

// kubectl words its errors itself.
func runKubectl() {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}

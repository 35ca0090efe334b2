/* SPDX-License-Identifier: Apache-2.0 */
#include "graph_run.h"

CUgraphExec instantiate(CUgraph graph)
{
	CUgraphExec exec = NULL;

	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	return exec;
}

void run(CUgraphExec exec)
{
	WORKS(cuGraphLaunch(exec, stream));
	WORKS(cuStreamSynchronize(stream));
}

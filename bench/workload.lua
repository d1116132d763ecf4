-- SPDX-License-Identifier: MIT
--
-- workload.lua - about a second of ordinary Lua: tables, strings, closures, trees.
--
-- Lua's allocator is realloc and free. Fails if the results are not what they always are.

local function tree(depth)
	if depth == 0 then
		return {}
	end
	return { tree(depth - 1), tree(depth - 1) }
end

local function weight(node)
	return node[1] and weight(node[1]) + weight(node[2]) + 1 or 1
end

local function trees(count, depth)
	local total = 0
	for _ = 1, count do
		total = total + weight(tree(depth))
	end
	return total
end

local function records(count)
	local by_name, total = {}, 0
	for i = 1, count do
		local name = ("record-%06d"):format(i * 7919 % count)
		by_name[name] = { id = i, name = name, list = { i, i + 1, i + 2 } }
		if i % 4 == 0 then
			by_name[("record-%06d"):format(i // 2)] = nil
		end
	end
	for _, record in pairs(by_name) do
		total = total + record.id + #record.list
	end
	return total
end

local function strings(count)
	local parts, total = {}, 0
	for i = 1, count do
		parts[#parts + 1] = ("%d:%s"):format(i, ("x"):rep(i % 60))
		if #parts == 1000 then
			local text = table.concat(parts, ",")
			for word in text:gmatch("%d+") do
				total = total + #word
			end
			parts = {}
		end
	end
	return total
end

local function closures(count)
	local list, total = {}, 0
	for i = 1, count do
		list[i % 5000 + 1] = function(x) return x + i end
	end
	for _, f in ipairs(list) do
		total = total + f(1)
	end
	return total
end

local expected = { 655340, 10312696041, 1088895, 4987507500 }
local got = { trees(20, 14), records(150000), strings(200000), closures(1000000) }

for i, value in ipairs(expected) do
	if got[i] ~= value then
		error("got " .. table.concat(got, ", "))
	end
end
